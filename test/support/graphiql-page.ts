/** GraphiQL as a person uses it: tabs, editors, the run button, and what the response pane says. */
import type { BrowserContext, Locator, Page } from 'playwright-core';

export class GraphiqlPage {
  readonly page: Page;

  private constructor(page: Page) {
    this.page = page;
  }

  static async open(context: BrowserContext, origin: string): Promise<GraphiqlPage> {
    const page = await context.newPage();
    await page.goto(`${origin}/graphql`);
    const opened = new GraphiqlPage(page);
    await opened.ready();
    return opened;
  }

  /** The editors are drawn, and hold their texts. */
  async ready(): Promise<void> {
    await this.page.locator('.graphiql-query-editor .view-line').first().waitFor();
  }

  tabTitles(): Promise<string[]> {
    return this.page.locator('.graphiql-tab-button').allTextContents();
  }

  async tab(title: string): Promise<void> {
    await this.page.locator('.graphiql-tab-button', { hasText: title }).click();
  }

  async setHeaders(headers: Readonly<Record<string, string>>): Promise<void> {
    await this.#fill('Headers', JSON.stringify(headers));
  }

  async setVariables(variables: unknown): Promise<void> {
    await this.#fill('Variables', JSON.stringify(variables));
  }

  async headersShown(): Promise<string> {
    return this.#shown(await this.#editor('Headers'));
  }

  async variablesShown(): Promise<string> {
    return this.#shown(await this.#editor('Variables'));
  }

  /** Starts the operation, or stops the subscription that runs. */
  async press(): Promise<void> {
    await this.page.locator('.graphiql-execute-button').click();
  }

  /** What the response pane shows, once it shows all of these. */
  async response(...parts: readonly string[]): Promise<string> {
    let shown = '';
    for (let polls = 0; polls < 150; polls++) {
      shown = await this.#shown(this.page.locator('.result-window'));
      if (parts.every((part) => shown.includes(part))) return shown;
      await this.page.waitForTimeout(100);
    }
    throw new Error(`The response pane never showed ${parts.join(' and ')}, but:\n${shown}`);
  }

  async #fill(editor: 'Headers' | 'Variables', text: string): Promise<void> {
    const locator = await this.#editor(editor);
    await locator.locator('.view-lines').click();
    await this.page.keyboard.press('ControlOrMeta+a');
    await this.page.keyboard.press('Delete');
    await this.page.keyboard.insertText(text);
    // GraphiQL takes an editor's text over into its tab after a pause.
    await this.page.waitForTimeout(300);
  }

  async #editor(name: 'Headers' | 'Variables'): Promise<Locator> {
    await this.page.getByRole('button', { name, exact: true }).click();
    const editor = this.page.locator('.graphiql-editor-tool .graphiql-editor:not(.hidden)');
    // One that was hidden is drawn line by line when it is shown.
    await this.page.waitForTimeout(200);
    return editor;
  }

  /** The lines in view of an editor, which stand in the document in any order, with no-break spaces, and wrapped. */
  async #shown(editor: Locator): Promise<string> {
    const lines = await editor.locator('.view-line').evaluateAll((elements: Line[]) =>
      elements
        .map((element) => ({ top: parseFloat(element.style.top), text: element.textContent }))
        .sort((a, b) => a.top - b.top)
        .map(({ text }) => text),
    );
    return lines.join('\n').replaceAll('\u00a0', ' ');
  }
}

/** As much of an HTML element as is used above. */
interface Line {
  readonly textContent: string;
  readonly style: { readonly top: string };
}
