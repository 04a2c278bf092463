import { installDebianPackages } from './apt.mjs';
import { installGoTools } from './go-tools.mjs';
import { installOras } from './oras.mjs';

/**
 * Installs every program that tests and the cluster run and that is not there yet.
 *
 * @param {{nice?: boolean}} [options] `nice`: leave the processors to others
 * @returns {Promise<boolean>} whether anything had to be done
 */
export async function installTools({ nice = false } = {}) {
  const packages = await installDebianPackages({ nice });
  const oras = await installOras({ nice });
  const programs = await installGoTools({ nice });
  return packages || oras || programs;
}
