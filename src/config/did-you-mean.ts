/**
 * Unknown names. Suggests the known name that a misspelled name probably stands for, and recognises variables of other
 * tools, which are not misspelled.
 */

/** Levenshtein distance: the number of characters to add, remove or replace. */
const editDistance = (one: string, other: string): number => {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
};

/** The known name with the smallest edit distance, the first of several. Empty when no name is known. */
export const findClosestMatch = (name: string, knownNames: readonly string[]): string => {
  let best = '';
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of knownNames) {
    const distance = editDistance(name, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
};

type Environment = Readonly<Record<string, string | undefined>>;

/** Variables that clients and scripts use for the address of this server. */
const VARIABLES_OF_CLIENTS: readonly string[] = ['PORCHLIGHT_URL'];

/** In every pod, Kubernetes sets such variables for a service named `porchlight` or `porchlight-…`. */
const SERVICE_LINK_NAME =
  /^PORCHLIGHT_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;

/** The value of `PORCHLIGHT_PORT` and `PORCHLIGHT_…_PORT` that Kubernetes sets, such as `tcp://10.0.0.1:4000`. */
const isServiceLink = (name: string, value: string | undefined): boolean =>
  /^PORCHLIGHT_(\w+_)?PORT$/.test(name) && /^(tcp|udp|sctp):\/\//.test(value ?? '');

/** Whether an unknown variable whose name starts with `PORCHLIGHT_` is meant for another program. */
export const isVariableOfOtherTool = (name: string, value: string | undefined): boolean =>
  VARIABLES_OF_CLIENTS.includes(name) || SERVICE_LINK_NAME.test(name) || isServiceLink(name, value);

/** Removes variables with the name of an option that Kubernetes sets. Returns a warning for each. */
export const ignoreServiceLinks = (
  env: Environment,
  knownNames: readonly string[],
): { readonly env: Environment; readonly warnings: readonly string[] } => {
  const links = knownNames.filter((name) => isServiceLink(name, env[name]));
  if (links.length === 0) return { env, warnings: [] };
  return {
    env: Object.fromEntries(Object.entries(env).filter(([name]) => !links.includes(name))),
    warnings: links.map(
      (name) =>
        `${name} is ${JSON.stringify(env[name])}, which Kubernetes sets for a service named "porchlight". It is ignored; ` +
        'set enableServiceLinks to false in the pod, or use another name for the service.',
    ),
  };
};
