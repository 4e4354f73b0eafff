#!/usr/bin/env node
// Writes the option tables of the built code into docs/configuration.md, between the two markers.
// test/unit/config/options-page.test.ts fails when the page and the code differ.
import { readFileSync, writeFileSync } from 'node:fs';

const page = new URL('../../../docs/configuration.md', import.meta.url);
const builtModule = new URL('../../../dist/config/render-options.js', import.meta.url);
/** @type {{ renderOptionsMarkdown: () => string }} */
const { renderOptionsMarkdown } = await import(builtModule.href);

const text = readFileSync(page, 'utf8');
if (!/<!-- options -->\n[^]*<!-- \/options -->/.test(text))
  throw new Error('docs/configuration.md has no option markers.');
const updated = text.replace(
  /(<!-- options -->\n)[^]*(<!-- \/options -->)/,
  (_match, start, end) => `${start}\n${renderOptionsMarkdown()}\n${end}`,
);
writeFileSync(page, updated);
console.log('Wrote docs/configuration.md.');
