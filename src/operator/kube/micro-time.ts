/** A moment as MicroTime: RFC 3339 with six digits after the second, without which the API server refuses it. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}
