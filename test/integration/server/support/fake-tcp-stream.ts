/** A fake TCP stream whose reader is controlled by the test, and a decoder of WebSocket frames. */
import { Writable } from 'node:stream';
import * as ws from 'ws';

/** The type definitions lack it. */
const { Receiver } = ws as unknown as { Receiver: new (options: { isServer: boolean }) => Writable };

/** Decodes the frames. Pings and pongs are prefixed with their type. */
export const decodeMessages = (bytes: Buffer): string[] => {
  const messages: string[] = [];
  const receiver = new Receiver({ isServer: false });
  receiver.on('message', (data: Buffer, isBinary: boolean) =>
    messages.push(`${isBinary ? 'binary ' : ''}${data.toString()}`),
  );
  for (const frame of ['ping', 'pong']) {
    receiver.on(frame, (data: Buffer) => messages.push(`${frame} ${data.toString()}`));
  }
  receiver.on('error', (error: Error) => messages.push(error.message));
  receiver.write(bytes);
  return messages;
};

/** A write stays pending until the test acknowledges it. */
export class FakeTcpStream extends Writable {
  readonly written: Buffer[] = [];
  readonly #pendingWrites: ((error?: Error) => void)[] = [];
  #acknowledgesAll = false;

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.written.push(chunk);
    if (this.#acknowledgesAll) done();
    else this.#pendingWrites.push(done);
  }

  /** Completes the oldest pending write, or fails it with `error`. */
  acknowledgeWrite(error?: Error): void {
    this.#pendingWrites.shift()?.(error);
  }

  /** Completes the oldest pending write and all later ones at once. */
  acknowledgeAllWrites(): void {
    this.#acknowledgesAll = true;
    this.acknowledgeWrite();
  }
}

/** Waits until all work that needs no further input is done, including work at the end of the loop turn. */
export const settleEventLoop = async (): Promise<void> => {
  for (let round = 0; round < 3; round++) await new Promise((resolve) => setImmediate(resolve));
};
