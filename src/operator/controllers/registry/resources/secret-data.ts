/** `data` of a Secret. `stringData` is not used: with server-side apply a key that is dropped would stay. */
export function secretData(values: Readonly<Record<string, string | Uint8Array>>): Record<string, string> {
  const entries = Object.entries(values).map(
    ([key, value]) => [key, Buffer.from(value).toString('base64')] as const,
  );
  return Object.fromEntries(entries);
}
