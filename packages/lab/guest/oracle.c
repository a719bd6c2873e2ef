/* Runs inside the guest: checks that the disk holds what memory says it holds.
 *
 * A thread per region of a disk writes and reads it with O_DIRECT. Memory keeps the last tag that
 * was written to each 512-byte sector (0: never). A COLO checkpoint replaces the secondary's memory
 * by the primary's; if its disk does not change at the same point, a sector and its tag disagree.
 *
 *   sector contents = f(tag, sector number), all 64 words checked at every read; tag 0 = zeroes
 *   tag             = sequence number << 32 | nonce
 *
 * The nonce, like the choice of every request, comes from the time stamp counter: two VMs that
 * continue from one checkpoint must not write the same data to the same places, or the other VM's
 * write would pass for one's own.
 *
 * Kernel command line (units: 512-byte sectors, microseconds):
 *   gannet.oracles=DISK:MODE:FIRST:SECTORS[,...]    the regions; ids count from 1
 *   gannet.think_us=N                               each region waits that long after each request
 * Modes:
 *   4k         one aligned 4 KiB block at a time
 *   512        one sector at a time
 *   unaligned  1..24 sectors from any sector, mostly an odd one, so that requests begin and end
 *              inside 4 KiB pages
 *   zero       as unaligned, and every fourth write is a write-zeroes request
 *
 * Lines on the console (ttyS0), each ending in sum=XXXX, the FNV-1a of what precedes " sum=",
 * folded to 16 bits: at a checkpoint, a line of one VM may continue as the other's, and the sum
 * detects that.
 *   gannet-oracle-start id= disk= mode= first= sectors=
 *   gannet-oracle id= disk= mode= writes= reads= flushes= zeroes= bad= errors= gap_ms=
 *                                                                       about every 500 ms
 *   gannet-oracle-mismatch id= disk= sector= found= expected=           hexadecimal tags
 *   gannet-oracle-error id= disk= op= sector= errno=
 *   gannet-oracle-digest id= disk= mode= first= sectors= unknown= digest=
 *   gannet-oracle-scan id= disk= bad= errors=
 *   gannet-oracle-go id= disk=
 *   gannet-oracle-fatal reason=
 * gap_ms is the longest time between two completed requests since the last counters line, by the
 * guest's clock. That clock stands still while QEMU has the VM stopped: it shows a stalled disk,
 * not a checkpoint's pause.
 *
 * Commands on the console, a line each:
 *   stop   finish requests, flush, print the digest of what memory says the region holds, wait
 *   go     continue
 *   scan   read the whole region back and compare (also while stopped)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum {
    SECTOR = 512,
    WORDS = SECTOR / 8,
    BLOCK_SECTORS = 8,
    REQUEST_SECTORS_MAX = 24,
    SCAN_SECTORS = 128,
    /* Half of all requests go to the region's beginning, so that epochs overwrite each other. */
    HOT_SECTORS = 512,
    REGIONS_MAX = 16,
    REPORT_MS = 500,
    ALARMS_PER_REPORT_MAX = 8, /* a wholly wrong disk must not drown the slow console */
    LINE_MAX_BYTES = 256
};

/* What a sector holds after a failed write. Not checked until written again. */
static const uint64_t UNKNOWN = UINT64_MAX;

enum mode { MODE_4K, MODE_512, MODE_UNALIGNED, MODE_ZERO };
static const char *const MODE_NAMES[] = { "4k", "512", "unaligned", "zero" };

struct region {
    int id, fd;
    char disk[16];
    enum mode mode;
    uint64_t first, sectors;
    uint64_t *tags;
    uint64_t *data;
    uint64_t random, sequence;
    uint64_t writes, reads, flushes, zeroes, bad, errors;
    uint64_t reported_ms, completed_ms, gap_ms;
    int alarms, scans_done;
};

static struct region regions[REGIONS_MAX];
static int region_count;
static unsigned think_us;
static int console;
static pthread_mutex_t console_lock = PTHREAD_MUTEX_INITIALIZER;

static pthread_mutex_t control_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t control_changed = PTHREAD_COND_INITIALIZER;
static int stopped, scans_wanted;

/* --- console --- */

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 16, format, arguments);
    va_end(arguments);
    uint32_t hash = 2166136261u;
    for (int i = 0; i < length; i++) hash = (hash ^ (unsigned char)line[i]) * 16777619u;
    length += sprintf(line + length, " sum=%04x\n", (hash >> 16 ^ hash) & 0xffff);
    pthread_mutex_lock(&console_lock);
    for (int done = 0; done < length;) {
        ssize_t count = write(console, line + done, length - done);
        if (count <= 0) break;
        done += count;
    }
    pthread_mutex_unlock(&console_lock);
}

__attribute__((noreturn)) static void fatal(const char *reason)
{
    say("gannet-oracle-fatal reason=%s errno=%d", reason, errno);
    tcdrain(console); /* the machine is switched off next */
    exit(1);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

static void report(struct region *r)
{
    say("gannet-oracle id=%d disk=%s mode=%s writes=%lu reads=%lu flushes=%lu zeroes=%lu bad=%lu"
        " errors=%lu gap_ms=%lu",
        r->id, r->disk, MODE_NAMES[r->mode], r->writes, r->reads, r->flushes, r->zeroes, r->bad,
        r->errors, r->gap_ms);
    r->reported_ms = now_ms();
    r->gap_ms = 0;
    r->alarms = 0;
}

/* --- what sectors hold --- */

static uint64_t next_random(struct region *r)
{
    uint64_t x = r->random += __rdtsc() + 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void fill_sector(uint64_t *words, uint64_t tag, uint64_t sector)
{
    if (!tag) {
        memset(words, 0, SECTOR);
        return;
    }
    words[0] = tag;
    words[1] = sector;
    uint64_t x = tag ^ sector * 0xbf58476d1ce4e5b9u;
    for (int i = 2; i < WORDS; i++) words[i] = x += 0x9e3779b97f4a7c15u;
}

static void check_sectors(struct region *r, uint64_t start, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t expected[WORDS], tag = r->tags[start + i], sector = r->first + start + i;
        const uint64_t *found = r->data + i * WORDS;
        if (tag == UNKNOWN) continue;
        fill_sector(expected, tag, sector);
        if (!memcmp(found, expected, SECTOR)) continue;
        r->bad++;
        if (r->alarms++ < ALARMS_PER_REPORT_MAX)
            say("gannet-oracle-mismatch id=%d disk=%s sector=%lu found=%lx expected=%lx", r->id,
                r->disk, sector,
                found[0], tag);
    }
}

/* --- requests --- */

static void completed(struct region *r)
{
    uint64_t now = now_ms(), gap = now - r->completed_ms;
    if (gap > r->gap_ms) r->gap_ms = gap;
    r->completed_ms = now;
}

static void failed(struct region *r, const char *op, uint64_t start)
{
    r->errors++;
    if (r->alarms++ < ALARMS_PER_REPORT_MAX)
        say("gannet-oracle-error id=%d disk=%s op=%s sector=%lu errno=%d", r->id, r->disk, op,
            r->first + start, errno);
    usleep(10000);
}

static void set_tags(struct region *r, uint64_t start, unsigned count, uint64_t tag)
{
    for (unsigned i = 0; i < count; i++) r->tags[start + i] = tag;
}

static void write_sectors(struct region *r, uint64_t start, unsigned count)
{
    uint64_t tag = ++r->sequence << 32 | (next_random(r) & 0xffffffff);
    size_t bytes = count * (size_t)SECTOR;
    for (unsigned i = 0; i < count; i++)
        fill_sector(r->data + i * WORDS, tag, r->first + start + i);
    errno = 0;
    int good = pwrite(r->fd, r->data, bytes, (r->first + start) * SECTOR) == (ssize_t)bytes;
    set_tags(r, start, count, good ? tag : UNKNOWN);
    completed(r);
    r->writes++;
    if (!good) failed(r, "write", start);
}

static void zero_sectors(struct region *r, uint64_t start, unsigned count)
{
    uint64_t range[2] = { (r->first + start) * SECTOR, count * (uint64_t)SECTOR };
    errno = 0;
    int good = ioctl(r->fd, BLKZEROOUT, range) == 0;
    set_tags(r, start, count, good ? 0 : UNKNOWN);
    completed(r);
    r->writes++;
    r->zeroes++;
    if (!good) failed(r, "zero", start);
}

static void read_sectors(struct region *r, uint64_t start, unsigned count)
{
    size_t bytes = count * (size_t)SECTOR;
    errno = 0;
    int good = pread(r->fd, r->data, bytes, (r->first + start) * SECTOR) == (ssize_t)bytes;
    completed(r);
    r->reads++;
    if (good)
        check_sectors(r, start, count);
    else
        failed(r, "read", start);
}

static void flush(struct region *r)
{
    errno = 0;
    int good = fsync(r->fd) == 0;
    completed(r);
    r->flushes++;
    if (!good) failed(r, "flush", 0);
}

/* One request, of the region's shape. */
static void step(struct region *r)
{
    uint64_t dice = next_random(r), span = r->sectors, count = 1, start;
    if (dice & 1 && span > HOT_SECTORS) span = HOT_SECTORS;
    if (r->mode == MODE_4K) {
        count = BLOCK_SECTORS;
        start = next_random(r) % (span / BLOCK_SECTORS) * BLOCK_SECTORS;
    } else if (r->mode == MODE_512) {
        start = next_random(r) % span;
    } else {
        start = next_random(r) % span;
        if (dice & 6 && start + 1 < span) start |= 1;
        count = 1 + next_random(r) % REQUEST_SECTORS_MAX;
        if (count > r->sectors - start) count = r->sectors - start;
    }
    if (!(dice & 8))
        read_sectors(r, start, count);
    else if (r->mode == MODE_ZERO && !(dice & 0x30))
        zero_sectors(r, start, count);
    else
        write_sectors(r, start, count);
    if (!(dice >> 8 & 127)) flush(r);
}

/* --- commands --- */

/* Two 32-bit lanes over the little-endian 32-bit words of all sectors; the host computes the same
 * over the image. */
static void print_digest(struct region *r)
{
    uint32_t a = 0x9e3779b9, b = 0x85ebca6b;
    uint64_t unknown = 0, words[WORDS];
    for (uint64_t i = 0; i < r->sectors; i++) {
        uint64_t tag = r->tags[i];
        if (tag == UNKNOWN) unknown++;
        fill_sector(words, tag == UNKNOWN ? 0 : tag, r->first + i);
        for (int j = 0; j < WORDS; j++) {
            for (int half = 0; half < 2; half++) {
                uint32_t word = (uint32_t)(words[j] >> 32 * half);
                a ^= word;
                a = (a << 5 | a >> 27) * 0x9e3779b1u;
                b += word;
                b = (b << 11 | b >> 21) * 0x85ebca77u;
            }
        }
    }
    say("gannet-oracle-digest id=%d disk=%s mode=%s first=%lu sectors=%lu unknown=%lu"
        " digest=%08x%08x", r->id, r->disk,
        MODE_NAMES[r->mode], r->first, r->sectors, unknown, a, b);
}

static void scan(struct region *r)
{
    uint64_t bad = r->bad, errors = r->errors;
    for (uint64_t start = 0; start < r->sectors; start += SCAN_SECTORS) {
        uint64_t count = r->sectors - start;
        read_sectors(r, start, count < SCAN_SECTORS ? count : SCAN_SECTORS);
    }
    say("gannet-oracle-scan id=%d disk=%s bad=%lu errors=%lu", r->id, r->disk, r->bad - bad,
        r->errors - errors);
}

static void obey(struct region *r)
{
    int told = 0;
    for (;;) {
        pthread_mutex_lock(&control_lock);
        while (stopped && told && r->scans_done == scans_wanted)
            pthread_cond_wait(&control_changed, &control_lock);
        int stop = stopped, scan_now = r->scans_done != scans_wanted;
        r->scans_done = scans_wanted;
        pthread_mutex_unlock(&control_lock);
        if (scan_now) scan(r);
        if (!stop) break;
        if (!told) {
            flush(r);
            report(r);
            print_digest(r);
            told = 1;
        }
    }
    if (told) {
        say("gannet-oracle-go id=%d disk=%s", r->id, r->disk);
        r->completed_ms = now_ms();
    }
}

static void *run_region(void *argument)
{
    struct region *r = argument;
    r->completed_ms = now_ms();
    say("gannet-oracle-start id=%d disk=%s mode=%s first=%lu sectors=%lu", r->id, r->disk,
        MODE_NAMES[r->mode],
        r->first, r->sectors);
    report(r);
    for (;;) {
        obey(r);
        step(r);
        if (r->completed_ms - r->reported_ms >= REPORT_MS) report(r);
        if (think_us) usleep(think_us);
    }
    return NULL;
}

static void command(const char *line)
{
    pthread_mutex_lock(&control_lock);
    if (!strcmp(line, "stop")) stopped = 1;
    if (!strcmp(line, "go")) stopped = 0;
    if (!strcmp(line, "scan")) scans_wanted++;
    pthread_cond_broadcast(&control_changed);
    pthread_mutex_unlock(&control_lock);
}

static void read_commands(void)
{
    char line[16];
    size_t length = 0;
    for (;;) {
        char c;
        if (read(console, &c, 1) != 1) continue;
        if (c == '\n' || c == '\r') {
            line[length] = 0;
            command(line);
            length = 0;
        } else if (length < sizeof line - 1) {
            line[length++] = c;
        }
    }
}

/* --- set-up --- */

static void add_region(const char *text)
{
    struct region *r = &regions[region_count];
    char mode[16], path[32];
    uint64_t bytes;
    if (region_count == REGIONS_MAX) fatal("too-many-regions");
    if (sscanf(text, "%15[^:]:%15[^:]:%lu:%lu", r->disk, mode, &r->first, &r->sectors) != 4)
        fatal("bad-region");
    r->id = ++region_count;
    int i = MODE_4K;
    while (i <= MODE_ZERO && strcmp(mode, MODE_NAMES[i])) i++;
    if (i > MODE_ZERO) fatal("bad-mode");
    r->mode = i;
    if (!r->sectors ||
        (r->mode == MODE_4K && (r->first % BLOCK_SECTORS || r->sectors % BLOCK_SECTORS)))
        fatal("bad-region-size");
    snprintf(path, sizeof path, "/dev/%s", r->disk);
    r->fd = open(path, O_RDWR | O_DIRECT);
    if (r->fd < 0) fatal("cannot-open-disk");
    if (ioctl(r->fd, BLKGETSIZE64, &bytes) < 0 || (r->first + r->sectors) * SECTOR > bytes)
        fatal("region-beyond-disk");
    r->tags = calloc(r->sectors, sizeof *r->tags);
    if (!r->tags || posix_memalign((void **)&r->data, 4096, SCAN_SECTORS * SECTOR))
        fatal("out-of-memory");
}

static void read_command_line(void)
{
    static char text[4096];
    FILE *file = fopen("/proc/cmdline", "r");
    if (!file || !fgets(text, sizeof text, file)) fatal("no-command-line");
    fclose(file);
    char *layout = NULL, *save;
    for (char *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
        sscanf(word, "gannet.think_us=%u", &think_us);
        if (!strncmp(word, "gannet.oracles=", 15)) layout = word + 15;
    }
    if (!layout) fatal("no-gannet.oracles");
    for (char *region = strtok_r(layout, ",", &save); region; region = strtok_r(NULL, ",", &save))
        add_region(region);
}

int main(void)
{
    struct termios settings;
    console = open("/dev/ttyS0", O_RDWR | O_NOCTTY);
    if (console < 0) return 1;
    if (!tcgetattr(console, &settings)) {
        cfmakeraw(&settings); /* no echo: it would land in the middle of lines */
        tcsetattr(console, TCSANOW, &settings);
    }
    read_command_line();
    for (int i = 0; i < region_count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run_region, &regions[i])) fatal("no-thread");
    }
    read_commands();
}
