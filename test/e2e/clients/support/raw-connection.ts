/** A TCP connection for tests that send recorded bytes and read the answer byte by byte. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export class RawConnection implements Disposable {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  #received = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  static async open(origin: string): Promise<RawConnection> {
    const { hostname, port } = new URL(origin);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    return new RawConnection(socket);
  }

  write(bytes: Buffer | string): void {
    this.#socket.write(bytes);
  }

  /** Reads up to a delimiter and removes it. @throws when the server closes the connection before. */
  async readUntil(delimiter: string): Promise<string> {
    for (;;) {
      const end = this.#received.indexOf(delimiter);
      if (end !== -1) {
        const text = this.#received.toString('utf8', 0, end);
        this.#received = this.#received.subarray(end + delimiter.length);
        return text;
      }
      await this.#readMore();
    }
  }

  /** @throws when the server closes the connection before. */
  async readBytes(count: number): Promise<Buffer> {
    while (this.#received.length < count) await this.#readMore();
    const bytes = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return bytes;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #readMore(): Promise<void> {
    const next = await this.#chunks.next();
    if (next.done === true) {
      throw new Error(`The server closed the connection after: ${this.#received.toString('utf8').slice(0, 500)}`);
    }
    this.#received = Buffer.concat([this.#received, next.value]);
  }
}
