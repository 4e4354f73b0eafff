// The direction of imports: core ← app ← {storage, api, server, webhooks, tencent} ← main ← cli. `npm run layers` enforces it.

const OUTSIDE = '^(?!src/)';
/** Parts of `process/` that every adapter may use: the error that ends a start, the URL of a worker's file, whole files. */
const PROCESS_HELPERS = '^src/process/(startup-error|worker-url|atomic-file)\\.ts$';

/** The folders of src/. `npm run layers` fails when one is missing or one more exists, so that no rule checks nothing. */
const FOLDERS = {
  api: [],
  app: ['auth', 'ports', 'presence', 'shared', 'webhooks'],
  cli: [],
  config: [],
  core: ['webhooks'],
  log: [],
  maintenance: [],
  process: [],
  server: ['auth', 'graphiql', 'graphql', 'http', 'limits', 'metrics', 'websocket', 'wire'],
  storage: ['memory', 'sqlite'],
  tencent: [],
  traces: [],
  webhooks: ['delivery', 'format', 'http', 'isolation'],
};

/** What a layer may import: itself, the listed paths and, where `libraries` is set, npm packages and node: built-ins. */
const layer = (name, { from, mayImport, libraries, why }) => ({
  name,
  comment: why,
  severity: 'error',
  from: { path: from },
  to: { pathNot: [...mayImport, ...(libraries ? [OUTSIDE] : [])] },
});

module.exports = {
  forbidden: [
    layer('core-is-pure', {
      from: '^src/core/',
      mayImport: ['^src/core/'],
      libraries: false,
      why: 'core holds the presence semantics only: no I/O, no clock, no library, no built-in module.',
    }),
    layer('app-imports-only-core', {
      from: '^src/app/',
      mayImport: ['^src/(core|app)/'],
      libraries: false,
      why: 'app holds use cases and ports. Code that needs a library or a built-in module is an adapter behind a port.',
    }),
    layer('storage-is-an-adapter', {
      from: '^src/storage/',
      mayImport: ['^src/(core|app|storage)/', PROCESS_HELPERS],
      libraries: true,
      why: 'a store imports the port that it implements, and none of its callers.',
    }),
    layer('memory-imports-no-sqlite', {
      from: '^src/storage/memory/',
      mayImport: ['^src/(core|app)/', '^src/storage/(memory/|[^/]+$)', PROCESS_HELPERS],
      libraries: true,
      why: 'the active users in memory serve every store.',
    }),
    layer('api-imports-app', {
      from: '^src/api/',
      mayImport: ['^src/(core|app|api)/'],
      libraries: true,
      why: 'the schema calls use cases. It does not know which store or transport is in use.',
    }),
    layer('server-is-the-transports', {
      from: '^src/server/',
      mayImport: ['^src/(core|app|api|server)/', PROCESS_HELPERS],
      libraries: true,
      why: 'the transports carry requests to the API. main puts the parts together.',
    }),
    layer('webhooks-are-an-adapter', {
      from: '^src/webhooks/',
      mayImport: ['^src/(core|app|webhooks)/'],
      libraries: true,
      why: 'webhook delivery works on the ports, whichever store, transport or format is in use.',
    }),
    layer('tencent-is-an-adapter', {
      from: '^src/tencent/',
      mayImport: ['^src/(core|app|tencent)/'],
      libraries: true,
      why: 'the Tencent API is another interface to the same use cases, and optional.',
    }),
    layer('traces-observe-operations', {
      from: '^src/traces/',
      mayImport: ['^src/(core|app|api|server|traces)/'],
      libraries: true,
      why: 'the transports report operations to traces. Only main knows whether traces are on.',
    }),
    layer('log-imports-nothing', {
      from: '^src/log/',
      mayImport: ['^src/log/'],
      libraries: true,
      why: 'every part of the server may log. How a line is written depends on no part.',
    }),
    layer('maintenance-works-on-the-file', {
      from: '^src/maintenance/',
      mayImport: ['^src/(core|app|storage|config|maintenance)/', PROCESS_HELPERS],
      libraries: true,
      why: 'backup, doctor and export use parts of the store without a server. Only the command line starts them.',
    }),
    layer('configuration-comes-first', {
      from: '^src/config/',
      mayImport: ['^src/(core|config)/', PROCESS_HELPERS],
      libraries: true,
      why: 'configuration is read before any part of the server exists.',
    }),
    layer('process-imports-nothing', {
      from: '^src/process/',
      mayImport: ['^src/process/'],
      libraries: true,
      why: 'the helpers of the process are used by every layer, and depend on none.',
    }),
    {
      name: 'only-main-composes',
      comment: 'main is the only module that knows every part. Only the command line starts it.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/cli/' },
      to: { path: '^src/(main\\.ts$|cli/)' },
    },
    {
      name: 'only-the-command-line-starts-maintenance',
      comment: 'backup, doctor and export are commands of their own. A server runs none of them.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(maintenance|cli)/' },
      to: { path: '^src/maintenance/' },
    },
    {
      name: 'cli-only-starts-main',
      comment:
        'argv → config → main or maintenance. The command line uses no part of the server itself, except the clock.',
      severity: 'error',
      from: { path: '^src/cli/' },
      to: { path: '^src/(app|api|storage|server|webhooks|tencent)/', pathNot: '^src/storage/clock\\.ts$' },
    },
    {
      name: 'no-cycles',
      comment: 'files that import each other cannot be understood separately.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-tests-in-src',
      comment: 'the shipped code does not depend on its tests or its build.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|dist)/' },
    },
    {
      name: 'no-dev-dependencies-in-src',
      comment: 'an installed porchlight has no development packages.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'everything-resolves',
      comment: 'an import that cannot be resolved cannot be checked.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // A type-only import is a dependency too.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
      mainFields: ['module', 'main', 'types'],
    },
  },
};

// Not a setting of dependency-cruiser, which rejects unknown properties: `npm run layers` reads it from here.
Object.defineProperty(module.exports, 'folders', { value: FOLDERS, enumerable: false });
