// Whether a client would rather have a page than text (RFC 9110, 12.5.1): browsers say so, programs do not.

const qualityOf = (parameters: readonly string[]): number => {
  const written = parameters.map((one) => /^q=([01](?:\.\d{0,3})?)$/i.exec(one.trim())?.[1]);
  return Number(written.find((one) => one !== undefined) ?? 1);
};

/** `*` stands for text: who takes anything is no browser that looks at a page. */
export const acceptsHtml = (accept: string | undefined): boolean => {
  const wanted = new Map(
    (accept ?? '').split(',').map((entry) => {
      const [type = '', ...parameters] = entry.split(';');
      return [type.trim().toLowerCase(), qualityOf(parameters)] as const;
    }),
  );
  const html = wanted.get('text/html') ?? 0;
  return html > 0 && html >= (wanted.get('text/plain') ?? 0);
};
