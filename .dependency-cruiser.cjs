// The direction of the house: core ← app ← {storage, api, server, webhooks, tencent} ← main ← cli. `npm run layers` holds it.

const OUTSIDE = '^(?!src/)';

/** What a room may import: itself, the rooms named, and, if it says so, npm packages and node: built-ins. */
const room = (name, { from, sees, libraries, why }) => ({
  name,
  comment: why,
  severity: 'error',
  from: { path: from },
  to: { pathNot: [...sees, ...(libraries ? [OUTSIDE] : [])] },
});

module.exports = {
  forbidden: [
    room('core-is-pure', {
      from: '^src/core/',
      sees: ['^src/core/'],
      libraries: false,
      why: 'core is the semantics and nothing else: no I/O, no clock, no library, no built-in.',
    }),
    room('app-knows-only-core', {
      from: '^src/app/',
      sees: ['^src/(core|app)/'],
      libraries: false,
      why: 'app holds use cases and ports; whatever needs a library or a built-in is an adapter behind a port.',
    }),
    room('storage-is-an-adapter', {
      from: '^src/storage/',
      sees: ['^src/(core|app|storage)/', '^src/(startup-error\\.ts$|process/)'],
      libraries: true,
      why: 'a store knows the port it fills, not who asks.',
    }),
    room('api-sees-app', {
      from: '^src/api/',
      sees: ['^src/(core|app|api)/'],
      libraries: true,
      why: 'the schema speaks to use cases; which store or door is in use is not its business.',
    }),
    room('server-is-the-doors', {
      from: '^src/server/',
      sees: ['^src/(core|app|api|server)/', '^src/(startup-error\\.ts$|process/)'],
      libraries: true,
      why: 'the doors carry requests to the API; parts are put together in main.',
    }),
    room('webhooks-are-a-wing', {
      from: '^src/webhooks/',
      sees: ['^src/(core|app|webhooks)/'],
      libraries: true,
      why: 'webhooks are delivered from what the ports tell, whichever store, door or format is in use.',
    }),
    room('tencent-is-a-wing', {
      from: '^src/tencent/',
      sees: ['^src/(core|app|tencent)/'],
      libraries: true,
      why: "another product's words for the same use cases: whoever does not turn them on could do without the wing.",
    }),
    room('traces-hear-of-operations', {
      from: '^src/traces/',
      sees: ['^src/(core|app|api|server|traces)/'],
      libraries: true,
      why: 'traces are told of operations by the doors; nobody but main knows whether there are any.',
    }),
    room('the-log-knows-nobody', {
      from: '^src/log/',
      sees: ['^src/log/'],
      libraries: true,
      why: 'whatever part of the server may log; how a line is written depends on none of them.',
    }),
    room('client-stands-alone', {
      from: '^src/client/',
      sees: ['^src/client/'],
      libraries: true,
      why: 'the client runs on machines that have no server.',
    }),
    room('maintenance-works-on-the-file', {
      from: '^src/maintenance/',
      sees: ['^src/(core|app|storage|config|maintenance)/', '^src/(startup-error\\.ts$|process/)'],
      libraries: true,
      why: 'backup, doctor and export put a few parts of the store together as main does for a server, and need none: they stand beside main, and only the command line starts them.',
    }),
    room('configuration-comes-first', {
      from: '^src/(config/|config\\.ts$|secrets\\.ts$|startup-error\\.ts$)',
      sees: ['^src/core/', '^src/(config/|config\\.ts$|secrets\\.ts$|startup-error\\.ts$)'],
      libraries: true,
      why: 'configuration is read before any part of the server exists.',
    }),
    {
      name: 'only-main-puts-parts-together',
      comment: 'main is the one place that knows every part; only the command line starts it.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/cli(/|\\.ts$)' },
      to: { path: '^src/(main|cli)\\.ts$' },
    },
    {
      name: 'only-the-command-line-starts-maintenance',
      comment: 'a server neither backs up nor examines itself: these are commands of their own.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(maintenance/|cli(/|\\.ts$))' },
      to: { path: '^src/maintenance/' },
    },
    {
      name: 'cli-only-starts-main',
      comment:
        'argv → config → main or maintenance: the command line reaches into no part of the server by itself (it may ask the time).',
      severity: 'error',
      from: { path: '^src/cli(/|\\.ts$)' },
      to: { path: '^src/(app|api|storage|server|webhooks|tencent|client)/', pathNot: '^src/storage/clock\\.ts$' },
    },
    {
      name: 'no-cycles',
      comment: 'files that import each other are one file in disguise.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-tests-in-src',
      comment: 'what is shipped does not depend on its tests.',
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
      comment: 'an import that cannot be found cannot be judged either.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // A type-only import is a dependency too: it says who knows whom.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
      mainFields: ['module', 'main', 'types'],
    },
  },
};
