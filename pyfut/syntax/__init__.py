"""From text to the syntax tree: tokens, the parser, the tree, and questions about it."""
