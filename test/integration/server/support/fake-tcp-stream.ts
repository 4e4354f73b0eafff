/** A connection whose client reads when it is told to, and what it makes of the bytes. */
import { Writable } from 'node:stream';
import * as ws from 'ws';

/** The types do not know it. */
const { Receiver } = ws as unknown as { Receiver: new (options: { isServer: boolean }) => Writable };

/** The messages in these bytes. */
export const decodeMessages = (bytes: Buffer): string[] => {
  const heard: string[] = [];
  const receiver = new Receiver({ isServer: false });
  receiver.on('message', (data: Buffer, isBinary: boolean) =>
    heard.push(`${isBinary ? 'binary ' : ''}${data.toString()}`),
  );
  for (const frame of ['ping', 'pong']) {
    receiver.on(frame, (data: Buffer) => heard.push(`${frame} ${data.toString()}`));
  }
  receiver.on('error', (error: Error) => heard.push(error.message));
  receiver.write(bytes);
  return heard;
};

export class FakeTcpStream extends Writable {
  readonly written: Buffer[] = [];
  readonly #reads: ((error?: Error) => void)[] = [];
  #quick = false;

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.written.push(chunk);
    if (this.#quick) done();
    else this.#reads.push(done);
  }

  /** The client reads what was written first of what it has not read; or it cannot be reached any more. */
  acknowledgeWrite(error?: Error): void {
    this.#reads.shift()?.(error);
  }

  /** From now on the client reads everything at once. */
  acknowledgeAllWrites(): void {
    this.#quick = true;
    this.acknowledgeWrite();
  }
}

/** Everything that can go on without new input has gone on, and what was left for the end of the turn is done. */
export const settleEventLoop = async (): Promise<void> => {
  for (let more = 0; more < 3; more++) await new Promise((resolve) => setImmediate(resolve));
};
