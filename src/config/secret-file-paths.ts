/** The paths of generated secrets. They are beside the database, so that one directory holds all data. */
import { dirname, join } from 'node:path';

export interface SecretFilePaths {
  readonly directory: string;
  readonly jwtSecret: string;
  readonly apiKey: string;
}

/** @param database path of the SQLite file, as configured. */
export const getSecretFilePaths = (database: string): SecretFilePaths => {
  const directory = dirname(database);
  return {
    directory,
    jwtSecret: join(directory, 'jwt-secret'),
    apiKey: join(directory, 'api-key'),
  };
};
