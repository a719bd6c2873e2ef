import { describe, expect, test } from '@jest/globals';
import { netdevsOf, numaOf, ramBlocksOf } from '../../src/inspect/inspect-text.js';

/** Answers of QEMU 7.2.22. */

test('info network: a hub, a card with its back end, back ends alone', () => {
  const text = [
    'hub 0',
    ' \\ hub0port1: #net288: index=0,type=user,net=10.0.2.0,restrict=off',
    ' \\ hub0port0: e1000.0: index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:57',
    'virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56',
    ' \\ #net020: index=0,type=user,net=10.0.2.0,restrict=off',
    'n1: index=0,type=tap,ifname=tap0',
    '',
  ].join('\r\n');
  const settings = 'net=10.0.2.0,restrict=off';
  expect(netdevsOf(text)).toEqual([
    { id: '#net288', type: 'user', settings, hub: { id: '0', port: 'hub0port1' } },
    { id: 'hub0port0', type: 'hubport', settings: 'hubid=0' },
    { id: '#net020', type: 'user', settings },
    { id: 'n1', type: 'tap', settings: 'ifname=tap0' },
  ]);
  expect(netdevsOf(undefined)).toEqual([]);
});

describe('info numa', () => {
  const one = ['1 nodes', 'node 0 cpus: 0 1', 'node 0 size: 128 MB', 'node 0 plugged: 64 MB'];

  test('memory that can grow has a node that nobody asked for', () => {
    expect(numaOf(one.join('\r\n'), true)).toBeUndefined();
    expect(numaOf('0 nodes\r\n', false)).toBeUndefined();
    expect(numaOf(undefined, false)).toBeUndefined();
  });

  test('nodes that were asked for', () => {
    expect(numaOf(one.join('\r\n'), false)).toBe('node 0 cpus: 0 1; node 0 size: 128 MB');
    const two = ['2 nodes', ...one.slice(1), 'node 1 cpus:', 'node 1 size: 64 MB'];
    expect(numaOf(two.join('\r\n'), true)).toMatch(/node 1 size: 64 MB$/);
  });
});

test('info ramblock', () => {
  const text = [
    '              Block Name    PSize              Offset               Used              Total',
    '                      m1    4 KiB  0x0000000000000000 0x0000000004000000 0x0000000004000000',
    '    /rom@etc/acpi/tables    4 KiB  0x0000000009280000 0x0000000000020000 0x0000000000200000',
  ].join('\r\n');
  expect(ramBlocksOf(text)).toEqual({ m1: 1 << 26, '/rom@etc/acpi/tables': 1 << 21 });
  expect(ramBlocksOf(undefined)).toEqual({});
});
