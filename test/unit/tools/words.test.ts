import { describe, expect, it } from 'vitest';
// eslint-disable-next-line no-restricted-imports -- the tools are JavaScript, because Node 20 runs no TypeScript
import { checkCode, checkMarkdown, checkText } from '../../support/tools/words.js';

/** A problem in this line that names the word. */
const problem = (line: number, text: string): object => ({ line, problem: expect.stringContaining(text) as string });

describe('the word check', () => {
  it('finds a replaced word in a comment, a string, a template and a name, with its line', () => {
    const code = ['// Nobody knows.', 'const toldOnce = "she";', 'const text = `at the ${1} door`;'].join('\n');
    expect(checkCode(code)).toEqual([
      problem(1, '"Nobody" →'),
      problem(2, '"told" in the name "toldOnce"'),
      problem(2, '"she" →'),
      problem(3, '"door" →'),
    ]);
  });

  it('finds a replaced word in a private name, a doc comment and the last comment of a file', () => {
    const code = ['/** Tells them. */', 'class A {', '  #heardAt = 0;', '}', '// goodbye'].join('\n');
    expect(checkCode(code).map(({ line }) => line)).toEqual([1, 3, 5]);
  });

  it('accepts words that only contain a replaced word', () => {
    expect(checkCode('// The shepherd indoors, newsletter, recommended\nconst hearth = threshold;')).toEqual([]);
  });

  it('finds a replaced word in the text of a page and gives the line', () => {
    expect(checkMarkdown('# Title\n\nGood.\n\nIt is told.')).toEqual([problem(5, '"told"')]);
    expect(checkText('a: 1\nb: woken')).toEqual([problem(2, '"woken"')]);
  });

  it('finds a sentence of more than 40 words in a page, but not a table, a list or code of that length', () => {
    const words = (count: number, separator = ' ') =>
      Array.from({ length: count }, (_, at) => `word${at}`).join(separator);
    expect(checkMarkdown(`${words(41)}.`)).toEqual([{ line: 1, problem: 'a sentence of 41 words (at most 40)' }]);
    expect(checkMarkdown(`${words(40)}. ${words(40)}.`)).toEqual([]);
    expect(checkMarkdown(words(50, '\n- '))).toEqual([]);
    expect(checkMarkdown(`| ${words(50, ' | ')} |`)).toEqual([]);
    expect(checkMarkdown(`\`\`\`\n${words(60)}\n\`\`\``)).toEqual([]);
  });
});
