/** Links, anchors, paths, scripts and names in the pages of the repository. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesIn, PAGES, readText, ROOT } from './pages.ts';

const withoutCodeBlocks = (page: string): string => page.replace(/^```[^]*?^```$/gm, '');

/** The anchor that GitHub gives a heading. */
const anchorOf = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

const anchorsOf = (path: string): readonly string[] =>
  Array.from(withoutCodeBlocks(readText(path)).matchAll(/^#+ (.+)$/gm), ([, heading = '']) => anchorOf(heading));

/** Targets of Markdown links without a scheme. */
const localLinksOf = (path: string): readonly string[] =>
  Array.from(withoutCodeBlocks(readText(path)).matchAll(/\]\(([^)\s]+)\)/g), ([, target = '']) => target).filter(
    (target) => !/^[a-z]+:/.test(target),
  );

it('finds the pages', () => {
  expect(PAGES).toEqual(
    expect.arrayContaining(['README.md', 'SECURITY.md', 'docs/api.md', 'docs/decisions/README.md']),
  );
});

it.each(PAGES)('links only to files and headings that exist, in %s', (page) => {
  const broken = localLinksOf(page).filter((link) => {
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? page : join(dirname(page), path);
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== undefined && target.endsWith('.md') && !anchorsOf(target).includes(anchor);
  });
  expect(broken).toEqual([]);
});

it('lists every decision in docs/decisions/README.md', () => {
  const pages = filesIn('docs/decisions', '.md').filter((path) => /\/\d{4}-/.test(path));
  expect(pages.length).toBeGreaterThan(7);
  expect(pages.map((path) => path.replace('docs/decisions/', ''))).toEqual(
    localLinksOf('docs/decisions/README.md').filter((link) => /^\d{4}-/.test(link)),
  );
});

it('names only scripts of package.json', () => {
  const { scripts } = JSON.parse(readText('package.json')) as { readonly scripts: Readonly<Record<string, string>> };
  for (const page of PAGES) {
    const named = Array.from(
      readText(page).matchAll(/\bnpm run (?:-s |--silent )?([a-z:-]+)/g),
      ([, name = '']) => name,
    );
    expect(
      named.filter((name) => scripts[name] === undefined),
      page,
    ).toEqual([]);
  }
});

it('names only tests that exist, in the threat table of SECURITY.md', () => {
  const rows = readText('SECURITY.md')
    .split('\n')
    .filter((line) => /^\| [^*]/.test(line) && line.includes('`'));
  const named = rows.flatMap((row) =>
    Array.from(row.matchAll(/`((?:unit|contract|integration|e2e)\/[^`]+)`/g), ([, path = '']) => path),
  );
  expect(named.length).toBeGreaterThan(60);
  expect(named.filter((path) => !existsSync(join(ROOT, 'test', `${path}.test.ts`)))).toEqual([]);
});

describe('names of code in pages', () => {
  const source = filesIn('src', '.ts').map(readText).join('\n');
  const identifiers = new Set(source.match(/[A-Za-z_]\w*/g));

  it.each(['docs/architecture.md', ...filesIn('docs/decisions', '.md')])(
    'names only files that exist, in %s',
    (page) => {
      const paths = Array.from(
        readText(page).matchAll(/`((?:src|test|docs|drizzle)\/[^`*]*)`/g),
        ([, path = '']) => path,
      );
      expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    },
  );

  it('names only classes and functions that exist, in docs/architecture.md', () => {
    const page = readText('docs/architecture.md');
    const inText = Array.from(withoutCodeBlocks(page).matchAll(/`([A-Za-z]\w*(?:\.\w+)?)`/g), ([, name = '']) => name);
    const inDiagrams = Array.from(page.matchAll(/^ {2,}(?:participant \w+ as (.+)|\w+-+>>\w+: (.+))$/gm), (match) =>
      (match[1] ?? match[2] ?? '').replace(/\(.*$/, ''),
    ).filter((name) => /^[A-Za-z]\w*[a-z][A-Z]\w*$|^[A-Z][a-z]\w*$/.test(name));
    const names = [...inText, ...inDiagrams].flatMap((name) => name.split('.'));
    expect(names.length).toBeGreaterThan(60);
    expect(names.filter((name) => !identifiers.has(name))).toEqual([]);
  });
});
