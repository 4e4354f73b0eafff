import { readFileSync } from 'node:fs';
import prettier from 'prettier';
import { expect, test } from 'vitest';
import { describeOptionsMarkdown } from '../../../src/config/render-options.ts';
import { OPTION_NAMES, OPTIONS } from '../../../src/config/options.ts';

const PRINT =
  'node -e "import(\'./dist/config/describe.js\').then((m) => process.stdout.write(m.describeOptionsMarkdown()))"';

test('README.md holds the table of options as the code has it', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const found = /<!-- options -->\n([^]*?)<!-- \/options -->/.exec(readme)?.[1];
  expect(found?.trim(), `After npm run build, put the output of this between the markers:\n${PRINT}`).toBe(
    describeOptionsMarkdown().trim(),
  );
});

test('the table names every option and every secret file', () => {
  const rows = describeOptionsMarkdown().split('\n');
  for (const name of OPTION_NAMES) {
    const { env, secret } = OPTIONS[name];
    const row = rows.find((each) => each.startsWith(`| \`${env}\``));
    expect(row, env).toBeDefined();
    if (secret) expect(row).toContain(`\`${env}_FILE\``);
  }
});

test('prettier leaves the table as it is', async () => {
  const table = describeOptionsMarkdown();
  expect(await prettier.format(table, { parser: 'markdown', printWidth: 120 })).toBe(table);
});
