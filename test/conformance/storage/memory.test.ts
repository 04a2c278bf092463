import { createMemoryDriver } from '../../../src/registry/storage/drivers/memory.ts';
import { listAll } from './fixture.ts';
import { describeDriver } from './suite.ts';

describeDriver('memory', {
  exclusiveSessions: true,
  async create() {
    const driver = createMemoryDriver();
    return {
      driver,
      another: async () => driver,
      residue: () => listAll(driver, ''),
      destroy: () => driver.close(),
    };
  },
});
