// How deep JSON is nested, told before it is parsed: whoever walks through what is too deep runs out of stack.

/** True where arrays and objects lie in one another deeper than that. Whether it is JSON is for the parser to say. */
export const isDeeper = (text: string, maxDepth: number): boolean => {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charAt(at)) {
      case '"':
        inString = !inString;
        break;
      case '\\':
        // What is escaped ends no string; outside of one there is no escape.
        if (inString) at += 1;
        break;
      case '{':
      case '[':
        if (!inString) depth += 1;
        if (depth > maxDepth) return true;
        break;
      case '}':
      case ']':
        if (!inString) depth -= 1;
        break;
    }
  }
  return false;
};
