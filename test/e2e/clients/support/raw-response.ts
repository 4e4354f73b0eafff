/** Reads HTTP/1.1 responses of the server from a connection. */
import type { GraphqlResult } from '../../../support/porchlight-client.ts';
import type { RawConnection } from './raw-connection.ts';

export class RawResponse {
  readonly status: number;
  readonly statusText: string;
  readonly #connection: RawConnection;
  readonly #headers: ReadonlyMap<string, string>;
  #text = '';

  private constructor(connection: RawConnection, statusLine: string, headers: ReadonlyMap<string, string>) {
    this.#connection = connection;
    const [, status, ...words] = statusLine.split(' ');
    this.status = Number(status);
    this.statusText = words.join(' ');
    this.#headers = headers;
  }

  /** Reads the status line and the headers. */
  static async read(connection: RawConnection): Promise<RawResponse> {
    const [statusLine = '', ...lines] = (await connection.readUntil('\r\n\r\n')).split('\r\n');
    const headers = lines.map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    });
    return new RawResponse(connection, statusLine, new Map(headers));
  }

  header(name: string): string {
    return this.#headers.get(name) ?? '';
  }

  /** Reads the next result: the body, or the next event `next` of an event stream. */
  async readResult<T>(): Promise<GraphqlResult<T>> {
    const type = this.header('content-type');
    if (type.startsWith('text/event-stream')) return JSON.parse(await this.#readEvent()) as GraphqlResult<T>;
    if (!/^application\/(graphql-response\+)?json/.test(type)) throw new Error(`The response has the type ${type}.`);
    return JSON.parse(await this.#readBody()) as GraphqlResult<T>;
  }

  async #readBody(): Promise<string> {
    const length = this.header('content-length');
    if (length !== '') return (await this.#connection.readBytes(Number(length))).toString('utf8');
    let body = '';
    for (let chunk = await this.#readChunk(); chunk !== null; chunk = await this.#readChunk()) body += chunk;
    return body;
  }

  /** The data of the next event whose type is `next`. Comments are skipped. */
  async #readEvent(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end === -1) {
        const chunk = await this.#readChunk();
        if (chunk === null) throw new Error('The stream has ended.');
        this.#text += chunk;
        continue;
      }
      const lines = this.#text.slice(0, end).split('\n');
      this.#text = this.#text.slice(end + 2);
      if (lines.includes('event: complete')) throw new Error('The stream is complete.');
      const data = lines.find((line) => line.startsWith('data: '));
      if (lines.includes('event: next') && data !== undefined) return data.slice('data: '.length);
    }
  }

  /** @returns null after the last chunk. */
  async #readChunk(): Promise<string | null> {
    const size = Number.parseInt(await this.#connection.readUntil('\r\n'), 16);
    const chunk = await this.#connection.readBytes(size + 2);
    return size === 0 ? null : chunk.toString('utf8', 0, size);
  }
}
