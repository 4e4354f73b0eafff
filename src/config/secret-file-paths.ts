/** Where generated secrets are kept: beside the database, so that one directory is all there is to keep. */
import { dirname, join } from 'node:path';

export interface SecretFiles {
  readonly directory: string;
  readonly jwtSecret: string;
  readonly apiKey: string;
}

/** @param database path of the SQLite file, as configured. */
export const secretFiles = (database: string): SecretFiles => {
  const directory = dirname(database);
  return {
    directory,
    jwtSecret: join(directory, 'jwt-secret'),
    apiKey: join(directory, 'api-key'),
  };
};
