import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { PeriodicTasks } from '../../../../src/storage/sqlite/periodic-tasks.ts';
import { login, runCommand, user } from '../../../contract/commands.ts';
import { VirtualClock } from '../../../contract/virtual-clock.ts';
import { openQuietly, temporaryDirectories } from '../../../integration/storage/support/sqlite-files.ts';

const newDirectory = temporaryDirectories();

afterEach(() => {
  vi.useRealTimers();
});

describe('PeriodicTasks', () => {
  it('runs a task soon and then periodically, never twice at once and not after it is stopped', async () => {
    vi.useFakeTimers();
    const background = new PeriodicTasks((error) => expect.unreachable(String(error)));
    const finish: (() => void)[] = [];
    background.runEvery(1_000, () => new Promise((resolve) => finish.push(resolve)));
    await vi.advanceTimersByTimeAsync(1);
    expect(finish).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(finish).toHaveLength(1);
    finish[0]?.();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(finish).toHaveLength(2);

    background.stopScheduling();
    let settled = false;
    const done = background.waitUntilIdle().then(() => (settled = true));
    await vi.advanceTimersByTimeAsync(5_000);
    expect({ begun: finish.length, settled }).toEqual({ begun: 2, settled: false });
    finish[1]?.();
    await done;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(finish).toHaveLength(2);
  });

  it('reports a failed run and runs the task again', async () => {
    vi.useFakeTimers();
    const warnings: string[] = [];
    const background = new PeriodicTasks((error) => warnings.push(error.message));
    background.runEvery(1_000, () => Promise.reject(new Error('the disk is full')));
    await vi.advanceTimersByTimeAsync(1_500);
    background.stopScheduling();
    expect(warnings).toEqual(['the disk is full', 'the disk is full']);
  });

  it('removes old data of an open store without a call', async () => {
    const path = join(newDirectory(), 'presence.db');
    const clock = new VirtualClock();
    const options = { clock: clock.now, eventRetentionMs: 1_000 };
    const first = await openQuietly(path, options);
    await runCommand(first, user('alice'), login('a1'));
    await first.close();
    clock.advance(5_000);

    const second = await openQuietly(path, { ...options, runPeriodicTasks: true });
    expect((await second.eventLog.readEvents({ after: null, limit: 10 })).events).toHaveLength(1);
    // The task starts in the next turn of the event loop, and close waits for it.
    await new Promise((resolve) => setImmediate(resolve));
    await second.close();
    const third = await openQuietly(path, options);
    expect((await third.eventLog.readEvents({ after: null, limit: 10 })).events).toEqual([]);
    await third.close();
  });
});
