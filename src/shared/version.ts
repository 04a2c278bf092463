import packageJson from '../../package.json' with { type: 'json' };

/** Version of this program, as in package.json; bundling puts the text in. */
export const VERSION: string = packageJson.version;
