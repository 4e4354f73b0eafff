/** The HTML that loads GraphiQL. It contains no inline scripts; all scripts are files of this server. */

/** The icon: a porch with a light under its roof. */
const LAMP =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke-linecap="round" stroke-linejoin="round">' +
  '<path d="M3 15 16 4l13 11M7 15v13h18V15" stroke="#b45309" stroke-width="2.5"/>' +
  '<circle cx="16" cy="19" r="7" fill="#fde68a"/><circle cx="16" cy="19" r="3.5" fill="#f59e0b"/></svg>';
const LAMP_URL = `data:image/svg+xml,${encodeURIComponent(LAMP)}`;

/**
 * @param assets the directory of scripts and styles. It is relative to the page, so that it also works behind a proxy
 *   that adds a path prefix.
 */
export const renderGraphiqlPage = (assets: string): string => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>GraphiQL – Porchlight</title>
    <link rel="icon" href="${LAMP_URL}" />
    <link rel="stylesheet" href="${assets}graphiql.css" />
    <style>
      body { margin: 0; }
      /* GraphiQL shifts tabs that it opens, which moves them away from the mouse pointer. */
      .graphiql-container .graphiql-tab { transform: none !important; }
      /* The schema is loaded with the first credential that permits it: see browser/introspection. */
      .graphiql-plugin:has(.graphiql-spinner)::after {
        display: block; margin-top: 1em; text-align: center;
        content: "The docs appear after you enter a credential in “Headers” that may read the schema. By default that is an API key.";
      }
      .waiting { padding: 2em; font: 1rem system-ui, sans-serif; }
      .lamp { width: 28px; height: 28px; background: url("${LAMP_URL}") center / contain no-repeat; }
    </style>
  </head>
  <body>
    <div id="root" style="height: 100vh"><p class="waiting">Loading GraphiQL …</p></div>
    <noscript><p class="waiting">GraphiQL needs JavaScript.</p></noscript>
    <script defer src="${assets}graphql-ws.js"></script>
    <script defer src="${assets}graphiql.js"></script>
    <script type="module" src="${assets}main.js"></script>
  </body>
</html>
`;
