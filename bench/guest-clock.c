/*
 * Tells, from inside a guest, for how long the guest was stopped.
 *
 * The guest's CLOCK_MONOTONIC stands still while QEMU has the VM stopped; its CMOS clock does not:
 * it follows the clock of the host (-rtc clock=host, the default). So at each second of the CMOS
 * clock this program says what the monotonic clock shows, on the console:
 *
 *   clock second=N mono_us=N
 *
 * Where two of them are less than a second apart, the guest was stopped for the rest. The seconds
 * register is looked at every 200 us, at real-time priority.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/io.h>
#include <time.h>
#include <unistd.h>

enum { CMOS_INDEX = 0x70, CMOS_DATA = 0x71, LOOK_NS = 200000 };

static int second(void)
{
    outb(0, CMOS_INDEX);
    return inb(CMOS_DATA);
}

int main(void)
{
    struct sched_param priority = { .sched_priority = 50 };
    struct timespec now, pause = { 0, LOOK_NS };
    char line[64];
    int console = open("/dev/ttyS0", O_WRONLY | O_NOCTTY), last;
    if (console < 0 || iopl(3) < 0) return 1;
    sched_setscheduler(0, SCHED_FIFO, &priority);
    last = second();
    for (unsigned long seconds = 0;;) {
        nanosleep(&pause, NULL);
        int is = second();
        if (is == last) continue;
        clock_gettime(CLOCK_MONOTONIC, &now);
        last = is;
        int length = snprintf(line, sizeof line, "clock second=%lu mono_us=%llu\n", ++seconds,
                              now.tv_sec * 1000000ull + now.tv_nsec / 1000);
        if (write(console, line, length) < 0) return 1;
    }
}
