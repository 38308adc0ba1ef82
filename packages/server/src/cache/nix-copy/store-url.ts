// The URL of a store as Nix takes it: what stands before the question mark is an address, what follows are settings of Nix.
// They are kept as the operator wrote them.

export interface StoreUrl {
  readonly scheme: 'file' | 'http' | 'https' | 's3' | 'ssh' | 'ssh-ng';
  /** Between `://` and the settings. */
  readonly place: string;
  readonly settings: readonly StoreSetting[];
}

export interface StoreSetting {
  readonly name: string;
  readonly value: string;
}

const form = /^(?<scheme>file|https?|s3|ssh-ng|ssh):\/\/(?<place>[^?]*)(?:\?(?<query>.*))?$/;

const isScheme = (text: string): text is StoreUrl['scheme'] =>
  ['file', 'http', 'https', 's3', 'ssh', 'ssh-ng'].includes(text);

/** As it stands where it is not encoded as it should be. */
export const decodePart = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** Of a destination that the configuration has accepted; null for any other text. */
export const parseStoreUrl = (text: string): StoreUrl | null => {
  const { scheme = '', place = '', query = '' } = form.exec(text)?.groups ?? {};
  if (!isScheme(scheme)) return null;
  const settings = query
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const at = part.indexOf('=');
      const [name, value] = at === -1 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
      return { name: decodePart(name), value: decodePart(value) };
    });
  return { scheme, place, settings };
};

export const settingOf = ({ settings }: StoreUrl, name: string): string | null =>
  settings.find((one) => one.name === name)?.value ?? null;

/** @param changes null takes a setting away */
export const withSettings = (url: StoreUrl, changes: Readonly<Record<string, string | null>>): StoreUrl => ({
  ...url,
  settings: [
    ...url.settings.filter(({ name }) => !Object.hasOwn(changes, name)),
    ...Object.entries(changes).flatMap(([name, value]) => (value === null ? [] : [{ name, value }])),
  ],
});

export const storeUrlText = ({ scheme, place, settings }: StoreUrl): string => {
  // Nix takes a plus for a plus.
  const query = settings.map(({ name, value }) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  return `${scheme}://${place}${query.length === 0 ? '' : `?${query.join('&')}`}`;
};
