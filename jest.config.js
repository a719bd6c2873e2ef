// `unit` needs nothing but Node.js, `interop` real NBD clients and QEMU, `e2e` a pair of VMs.
// `e2e-long` is what CI has no time for (`make long`): files of its own, and all rows of the tables
// of which CI runs a part (test/e2e/rows.ts).
// `matrix` is for a QEMU that must be refused: scripts/matrix.mjs fetches it.
const shared = {
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' } }],
  },
  // Sources import each other by the name that they have after compilation, as Node.js wants it.
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': ['$1.ts', '$1.js'] },
  modulePathIgnorePatterns: ['<rootDir>/.cache', '<rootDir>/.stryker'],
};

export default {
  // Half of the tests wait for something: a worker for each core.
  maxWorkers: '100%',
  testTimeout: 120_000,
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: [
        '<rootDir>/packages/*/test/**/*.test.ts',
        '<rootDir>/test/tidy.test.ts',
        '<rootDir>/test/{docs,composition,robustness,tidy}/**/*.test.ts',
        '<rootDir>/bench/test/**/*.test.ts',
      ],
      testPathIgnorePatterns: ['\\.interop\\.test\\.ts$', '/node_modules/'],
    },
    {
      ...shared,
      displayName: 'interop',
      testMatch: [
        '<rootDir>/packages/*/test/**/*.interop.test.ts',
        '<rootDir>/test/published/**/*.test.ts',
      ],
    },
    {
      ...shared,
      displayName: 'e2e',
      testMatch: ['<rootDir>/test/e2e/**/*.test.ts'],
      testPathIgnorePatterns: ['\\.long\\.test\\.ts$', '/node_modules/'],
    },
    {
      ...shared,
      displayName: 'e2e-long',
      globals: { hasTimeForAll: true },
      testMatch: [
        '<rootDir>/test/e2e/**/*.long.test.ts',
        '<rootDir>/test/e2e/**/{copies,lifecycle,links,mutants}.test.ts',
        '<rootDir>/test/e2e/**/{no-space,own-disk,pair,waiting}.test.ts',
      ],
    },
    { ...shared, displayName: 'matrix', testMatch: ['<rootDir>/test/matrix/**/*.test.ts'] },
  ],
};
