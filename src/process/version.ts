import { readFileSync } from 'node:fs';

/** Reads the version from package.json, which is in the parent directory of both src/ and dist/. */
export const readVersion = (): string => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
};
