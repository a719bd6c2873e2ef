/** Several daemons' metrics become one text that Prometheus accepts. */
import { expect, test } from '@jest/globals';
import { mergeMetrics } from '../../src/host/merge-metrics.js';

const HEAD = '# HELP gannet_epoch The last epoch\n# TYPE gannet_epoch gauge\n';

test('samples of one metric stand together, under one HELP and TYPE', () => {
  const one = `${HEAD}gannet_epoch{vm="a"} 1\n\n# HELP x X\n# TYPE x counter\nx{vm="a"} 5\n`;
  const other = `# HELP x X\n# TYPE x counter\nx{vm="b"} 6\n${HEAD}gannet_epoch{vm="b"} 2\n`;
  expect(mergeMetrics([one, other])).toBe(
    `${HEAD}gannet_epoch{vm="a"} 1\ngannet_epoch{vm="b"} 2\n` +
      '# HELP x X\n# TYPE x counter\nx{vm="a"} 5\nx{vm="b"} 6\n',
  );
});

test('the parts of a histogram stay with it', () => {
  const head = '# HELP h H\n# TYPE h histogram\n';
  const partsOf = (vm: string): string[] =>
    ['h_bucket{le="1",', 'h_bucket{le="+Inf",', 'h_sum{', 'h_count{'].map(
      (name) => `${name}vm="${vm}"} 1\n`,
    );
  const texts = ['a', 'b'].map((vm) => head + partsOf(vm).join(''));
  expect(mergeMetrics(texts)).toBe(head + ['a', 'b'].flatMap(partsOf).join(''));
});

test('a metric whose name only ends like a part is one of its own', () => {
  const text = '# HELP page_count P\n# TYPE page_count gauge\npage_count{vm="a"} 1\n';
  expect(mergeMetrics([text])).toBe(text);
});

test('nothing from nobody', () => {
  expect(mergeMetrics([])).toBe('');
});
