/** The configurations that docs/proxies.md prints, with addresses and files of the test in the place of its examples. */
import { readFileSync } from 'node:fs';

const PAGE = new URL('../../../docs/proxies.md', import.meta.url);

/** What a test puts in the place of the examples. */
export interface Substitutes {
  /** The port of the proxy on 127.0.0.1. */
  readonly port: number;
  /** The port of Porchlight on 127.0.0.1. */
  readonly serverPort: number;
  readonly tls: TlsFiles;
}

/** Paths of PEM files. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  /** Both in one file, as HAProxy wants them. */
  readonly bundle: string;
}

/** The fenced block whose first line is a comment with this path. @throws when the page has none, or two. */
export const readPageConfiguration = (path: string): string => {
  const blocks = [...readFileSync(PAGE, 'utf8').matchAll(/^```(?:nginx|haproxy|caddy)\n# (\S+)\n([^]*?)^```$/gm)];
  const found = blocks.filter(([, name]) => name === path);
  if (found.length !== 1) throw new Error(`docs/proxies.md has ${found.length} configurations ${path}.`);
  return found[0]?.[2] ?? '';
};

/** Replaces a text of a configuration. @throws when it is not in there: a test must not silently change nothing. */
export const replaceIn = (configuration: string, searched: string | RegExp, replacement: string): string => {
  let count = 0;
  const replaced = configuration.replaceAll(
    typeof searched === 'string' ? searched : new RegExp(searched.source, 'gm'),
    () => {
      count++;
      return replacement;
    },
  );
  if (count === 0) throw new Error(`${String(searched)} is not in the configuration:\n${configuration}`);
  return replaced;
};

export const substituteNginx = (configuration: string, { port, serverPort, tls }: Substitutes): string => {
  const result = replaceIn(configuration, '127.0.0.1:4000', `127.0.0.1:${serverPort}`);
  if (!result.includes('listen 443')) return replaceIn(result, 'listen 80;', `listen 127.0.0.1:${port};`);
  const listening = replaceIn(result, 'listen 443 ', `listen 127.0.0.1:${port} `);
  const withCertificate = replaceIn(listening, /^( *ssl_certificate +)\S+$/, `  ssl_certificate ${tls.certificate};`);
  return replaceIn(withCertificate, /^( *ssl_certificate_key +)\S+$/, `  ssl_certificate_key ${tls.key};`);
};

/** Caddy would get its certificate from a public authority, and open an administration port. */
export const substituteCaddy = (configuration: string, { port, serverPort, tls }: Substitutes): string =>
  `{\n  admin off\n  auto_https off\n}\n${replaceIn(
    replaceIn(configuration, '127.0.0.1:4000', `127.0.0.1:${serverPort}`),
    'presence.example.com {',
    `https://127.0.0.1:${port} {\n  tls ${tls.certificate} ${tls.key}`,
  )}`;

export const substituteHaproxy = (configuration: string, { port, serverPort, tls }: Substitutes): string =>
  replaceIn(
    replaceIn(configuration, '127.0.0.1:4000', `127.0.0.1:${serverPort}`),
    /bind :443 ssl crt \S+/,
    `bind 127.0.0.1:${port} ssl crt ${tls.bundle}`,
  );
