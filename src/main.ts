/** The only place where the parts are put together. */
import type { Config } from './config.ts';

export const serve = (_config: Config): Promise<number> => Promise.reject(new Error('Not put together yet.'));
