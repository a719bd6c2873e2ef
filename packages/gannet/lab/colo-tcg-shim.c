/* Makes COLO usable under TCG in unmodified QEMU. Preload it to QEMU under TCG only; KVM does not need it.
 *
 * The COLO thread reaches run_on_cpu() without the big lock (tcg_log_global_after_sync, seen in 7.2 and 10.0). Two
 * things go wrong there:
 *
 *  - It calls pthread_cond_wait() with a mutex that it does not own. The wait returns with the mutex locked, the thread
 *    does not know, and deadlocks on itself later. Here such a wait returns at once. That is a legal spurious wake-up:
 *    the caller checks its condition in a loop.
 *  - It broadcasts without the mutex. Between a vCPU's check for work and its wait such a broadcast is lost and nobody
 *    wakes. Here a broadcast first takes the mutex that the condition is known to be waited on with.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ASSOCIATIONS_MAX = 256, SPURIOUS_WAIT_US = 50 };

/* Which mutex a condition is waited on with. Only grows; entries up to association_count may be read without a lock.
 * A full table costs nothing but the second protection, for conditions beyond it. */
static struct {
    pthread_cond_t *cond;
    pthread_mutex_t *mutex;
} associations[ASSOCIATIONS_MAX];
static int association_count;
static pthread_mutex_t associations_lock = PTHREAD_MUTEX_INITIALIZER;

static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *);
static int (*real_broadcast)(pthread_cond_t *);

/* glibc keeps two versions of these functions; plain dlsym() may give the old one, with another layout. */
static void *next_symbol(const char *name)
{
    void *symbol = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
    if (!symbol) symbol = dlsym(RTLD_NEXT, name);
    if (!symbol) abort();
    return symbol;
}

__attribute__((constructor)) static void resolve(void)
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
        if (associations[i].cond == cond) return __atomic_load_n(&associations[i].mutex, __ATOMIC_RELAXED);
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
