/** The three roots, to which each concept adds its fields. */
import { builder } from './builder.ts';

builder.queryType({ description: 'What can be asked.' });
builder.mutationType({ description: 'What can be done. Whatever is answered here is already on disk.' });
builder.subscriptionType({ description: 'What can be followed as it happens.' });
