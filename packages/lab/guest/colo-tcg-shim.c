/* Makes COLO usable under TCG in unmodified QEMU. Preload it to QEMU under TCG only; KVM does not
 * need it.
 *
 * Lost dirty pages. When QEMU 7.2 collects the bitmap of written pages
 * (cpu_physical_memory_sync_dirty_bitmap, the path that moves whole words), it does not tell TCG's
 * TLB: writes to a page that the TLB already knows as dirty are not recorded until something
 * flushes the TLB. At each checkpoint the secondary then keeps old contents of such pages, and its
 * kernel soon crashes; least often where the guest switches between address spaces all the time.
 * Here memory_global_after_dirty_log_sync(), which follows every collection and comes before the
 * pages are sent, is replaced by one that flushes the TLBs first. 10.0 and 11.1 need this as
 * well: without it, the secondary ends. The cause there is not known.
 *
 * Waits without the lock. The COLO thread reaches run_on_cpu() without the big lock (by that very
 * function, in 7.2 and 10.0). Two things go wrong there:
 *
 *  - It calls pthread_cond_wait() with a mutex that it does not own. The wait returns with the
 *    mutex locked, the thread does not know, and deadlocks on itself later. Here such a wait
 *    returns at once. That is a legal spurious wake-up: the caller checks its condition in a loop.
 *  - It broadcasts without the mutex. Between a vCPU's check for work and its wait such a broadcast
 *    is lost and nobody wakes. Here a broadcast first takes the mutex that the condition is known
 *    to be waited on with.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ASSOCIATIONS_MAX = 256, SPURIOUS_WAIT_US = 50 };

/* Which mutex a condition is waited on with. Only grows; entries up to association_count may be
 * read without a lock. A full table costs nothing but the second protection, for conditions beyond
 * it. */
static struct {
    pthread_cond_t *cond;
    pthread_mutex_t *mutex;
} associations[ASSOCIATIONS_MAX];
static int association_count;
static pthread_mutex_t associations_lock = PTHREAD_MUTEX_INITIALIZER;

static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *);
static int (*real_broadcast)(pthread_cond_t *);

/* glibc keeps two versions of these functions; plain dlsym() may give the old one, with another
 * layout. */
static void *next_symbol(const char *name)
{
    void *symbol = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
    if (!symbol) symbol = dlsym(RTLD_NEXT, name);
    if (!symbol) abort();
    return symbol;
}

static void resolve(void)
{
    if (!real_wait) real_wait = next_symbol("pthread_cond_wait");
    if (!real_broadcast) real_broadcast = next_symbol("pthread_cond_broadcast");
}

static int owned_by_caller(const pthread_mutex_t *mutex)
{
    static __thread int thread_id;
    if (!thread_id) thread_id = (int)syscall(SYS_gettid);
    return mutex->__data.__owner == thread_id;
}

static pthread_mutex_t *mutex_of(const pthread_cond_t *cond)
{
    int count = __atomic_load_n(&association_count, __ATOMIC_ACQUIRE);
    for (int i = 0; i < count; i++)
        if (associations[i].cond == cond)
            return __atomic_load_n(&associations[i].mutex, __ATOMIC_RELAXED);
    return NULL;
}

static void associate(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    if (mutex_of(cond) == mutex) return;
    pthread_mutex_lock(&associations_lock);
    int i = 0;
    while (i < association_count && associations[i].cond != cond) i++;
    if (i < ASSOCIATIONS_MAX) {
        associations[i].cond = cond;
        __atomic_store_n(&associations[i].mutex, mutex, __ATOMIC_RELAXED);
        if (i == association_count) __atomic_store_n(&association_count, i + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&associations_lock);
}

int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    resolve(); /* other libraries' constructors may run before ours */
    if (!owned_by_caller(mutex)) {
        usleep(SPURIOUS_WAIT_US);
        return 0;
    }
    associate(cond, mutex);
    return real_wait(cond, mutex);
}

int pthread_cond_broadcast(pthread_cond_t *cond)
{
    resolve();
    pthread_mutex_t *mutex = mutex_of(cond);
    if (!mutex || owned_by_caller(mutex)) return real_broadcast(cond);
    pthread_mutex_lock(mutex);
    int result = real_broadcast(cond);
    pthread_mutex_unlock(mutex);
    return result;
}

/* QEMU's own functions, exported for its modules. run_on_cpu_data is a union of 8 bytes, passed as
 * a pointer is. */
static void *(*qemu_get_cpu)(int index);
static void (*qemu_tlb_flush)(void *cpu);
static void (*qemu_run_on_cpu)(void *cpu, void (*work)(void *cpu, void *data), void *data);

static void flush(void *cpu, void *data)
{
    (void)data;
    qemu_tlb_flush(cpu);
}

/* The flush runs on the vCPU's own thread, and run_on_cpu() waits for it: on return no stale TLB
 * entry is left, and what was written through one is in memory and will be sent. Called from here
 * for a running vCPU, tlb_flush() is safe in 7.2 alone, which queues it for that thread; 10.0 and
 * later flush at once and corrupt the TLB (SIGSEGV, SIGABRT). */
static void after_dirty_log_sync(void)
{
    void *cpu;
    for (int i = 0; (cpu = qemu_get_cpu(i)); i++) {
        qemu_run_on_cpu(cpu, flush, NULL);
    }
}

/* Makes the beginning of a function jump elsewhere. Returns 0 where it is too short for that or
 * memory stays read-only. */
static int redirect(void *function, void (*target)(void))
{
    /* movabs $target, %rax; jmp *%rax */
    unsigned char jump[12] = { 0x48, 0xb8, [10] = 0xff, [11] = 0xe0 };
    Dl_info info;
    ElfW(Sym) *symbol = NULL;
    if (!dladdr1(function, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol) return 0;
    if (symbol->st_size < sizeof jump) return 0;
    memcpy(jump + 2, &target, sizeof target);
    uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)function & ~(page_size - 1);
    size_t length = (uintptr_t)function + sizeof jump - start;
    if (mprotect((void *)start, length, PROT_READ | PROT_WRITE | PROT_EXEC)) return 0;
    memcpy(function, jump, sizeof jump);
    return !mprotect((void *)start, length, PROT_READ | PROT_EXEC);
}

__attribute__((constructor)) static void install(void)
{
    resolve();
    void *original = dlsym(RTLD_DEFAULT, "memory_global_after_dirty_log_sync");
    if (!original) return; /* setpriv and the like; or a QEMU built without modules */
    qemu_get_cpu = dlsym(RTLD_DEFAULT, "qemu_get_cpu");
    qemu_tlb_flush = dlsym(RTLD_DEFAULT, "tlb_flush");
    qemu_run_on_cpu = dlsym(RTLD_DEFAULT, "run_on_cpu");
    if (!qemu_get_cpu || !qemu_tlb_flush || !qemu_run_on_cpu ||
        !redirect(original, after_dirty_log_sync))
        fprintf(stderr, "colo-tcg-shim: cannot repair this QEMU's dirty page tracking\n");
}
