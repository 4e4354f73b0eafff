// Load over many sockets, with several operations under way on each.
import { Buffer } from 'node:buffer';
import { failure } from '../measure.js';
import { textFrame } from './web-socket.js';

/** Operations need ids of their own; so many after one another are more than are ever under way. */
const RING = 64;
/** `complete` with an id of three figures is shorter, whatever the order of its keys; every result is longer. */
export const LONGEST_COMPLETE = 48;

/**
 * Frames for `at(0)`, `at(1)`, … in a row, twice over, so that any few that follow one another are one piece of bytes.
 * @param {(id: string) => string} message
 * @param {(text: string) => Buffer} encode
 */
export function ring(message, encode = textFrame) {
  const frames = Array.from({ length: RING }, (_, index) => encode(message(String(100 + index))));
  return { bytes: Buffer.concat([...frames, ...frames]), frameBytes: frames[0]?.length ?? 0 };
}

/**
 * @param {readonly import('./wire.js').BenchSocket[]} sockets
 * @param {{ bytes: Buffer, frameBytes: number }} frames
 * @param {number} inFlight
 * @param {(start: number, end: number) => boolean} isAnswer which message completes an operation.
 */
export function socketLoad(sockets, { bytes, frameBytes }, inFlight, isAnswer) {
  const { failed, fail } = failure();
  let running = false;
  let underWay = 0;
  /** @type {() => void} */
  let idle = () => undefined;
  const load = {
    failed,
    done: 0,
    start() {
      running = true;
      for (const socket of sockets) {
        let position = 0;
        let answered = 0;
        const send = (/** @type {number} */ count) => {
          socket.send(bytes.subarray(position * frameBytes, (position + count) * frameBytes));
          position = (position + count) % RING;
          underWay += count;
        };
        socket.onFailure = fail;
        socket.onMessage = (data, start, end) => {
          if (isAnswer(start, end)) answered++;
          else if (load.done < 1_000 && data.toString('utf8', start, end).includes('"error')) {
            fail(new Error(data.toString('utf8', start, end)));
          }
        };
        socket.onPause = () => {
          if (answered === 0) return;
          load.done += answered;
          underWay -= answered;
          if (running) send(answered);
          else if (underWay === 0) idle();
          answered = 0;
        };
        send(inFlight);
      }
    },
    /** @returns {Promise<void>} */
    stop() {
      running = false;
      return new Promise((resolve) => {
        idle = resolve;
        if (underWay === 0) resolve();
      });
    },
  };
  return load;
}
