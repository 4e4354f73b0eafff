import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const WALL_CLOCK =
  'Time is a parameter that comes from the Clock port. Only src/storage/clock.ts reads the wall clock.';

export default tseslint.config(
  { ignores: ['dist/', '.build-*/', 'node_modules/', 'coverage/', 'reports/', '.stryker-tmp/', 'data/', 'drizzle/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['src/**/*.ts', 'test/**/*.ts', '*.config.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      // A port is asynchronous even where one of its adapters does not wait for anything.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: '^\\.{1,2}/.*\\.js$',
              message: 'Import the source file: paths end in .ts, and the build rewrites them.',
            },
          ],
        },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'no-console': 'error',
      'no-restricted-syntax': [
        'error',
        { selector: "CallExpression[callee.object.name='Date'][callee.property.name='now']", message: WALL_CLOCK },
        {
          selector: "CallExpression[callee.object.property.name='Date'][callee.property.name='now']",
          message: WALL_CLOCK,
        },
        { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: WALL_CLOCK },
        { selector: "CallExpression[callee.name='Date']", message: WALL_CLOCK },
      ],
    },
  },
  {
    // The command line prints for a person.
    files: ['src/cli/cli.ts', 'src/api/print-schema.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['src/storage/clock.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
  {
    // An example that runs in a browser.
    files: ['docs/examples/web.mjs'],
    languageOptions: { globals: { document: 'readonly' } },
  },
  {
    files: ['**/*.js', '**/*.cjs', '**/*.mjs'],
    languageOptions: {
      globals: {
        console: 'readonly',
        fetch: 'readonly',
        setInterval: 'readonly',
        process: 'readonly',
        module: 'writable',
        URL: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
      },
    },
  },
);
