import { readFileSync } from 'node:fs';
import prettier from 'prettier';
import { expect, test } from 'vitest';
import { renderOptionsMarkdown } from '../../../src/config/render-options.ts';
import { OPTION_NAMES, OPTIONS } from '../../../src/config/options.ts';

test('docs/configuration.md contains the option tables that the code generates', () => {
  const page = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');
  const tables = /<!-- options -->\n([^]*?)<!-- \/options -->/.exec(page)?.[1];
  expect(tables?.trim(), 'Run npm run docs:options.').toBe(renderOptionsMarkdown().trim());
});

test('the option tables contain every option once, and the file variable of every secret', () => {
  const rows = renderOptionsMarkdown().split('\n');
  for (const name of OPTION_NAMES) {
    const { env, isSecret } = OPTIONS[name];
    const rowsOfOption = rows.filter((row) => row.startsWith(`| \`${env}\``));
    expect(rowsOfOption, env).toHaveLength(1);
    if (isSecret) expect(rowsOfOption[0]).toContain(`\`${env}_FILE\``);
  }
});

test('prettier does not change the option tables', async () => {
  const tables = renderOptionsMarkdown();
  expect(await prettier.format(tables, { parser: 'markdown', printWidth: 120 })).toBe(tables);
});
