/* Runs a target over files instead of a fuzzer: corpora in CI, and single inputs under a debugger.
 * usage: replay_NAME FILE|DIRECTORY...    One line at the end: `NAME inputs ms slowest-ms slowest-file`. A crash
 * shows the input's name first. */
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define SLOW_MS 5000 /* far above what any input needs, sanitizers included, on a busy machine */

struct totals {
    unsigned inputs, slow;
    int64_t ms, worst_ms;
    char worst[512];
};

static int64_t cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The input at work, so that a report can be traced to it. */
static const char *current;

static void name_input(int sig)
{
    static const char text[] = "\ninput: ";
    if (current != NULL && write(STDERR_FILENO, text, sizeof text - 1) > 0 &&
        write(STDERR_FILENO, current, strlen(current)) > 0) {
        (void)!write(STDERR_FILENO, "\n", 1);
    }
    if (sig != 0) {
        signal(sig, SIG_DFL);
        raise(sig);
    }
}
/* Called by the sanitizers' runtimes if they are linked in. */
void __asan_on_error(void);
void __asan_on_error(void)
{
    name_input(0);
}

static bool run_file(struct totals *t, const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (f == NULL || fstat(fileno(f), &st) != 0) {
        perror(path);
        return false;
    }
    /* Exactly as large as the input, so that the sanitizer sees every byte read beyond it. */
    uint8_t *data = malloc((size_t)st.st_size == 0 ? 1 : (size_t)st.st_size);
    size_t n = fread(data, 1, (size_t)st.st_size, f);
    fclose(f);
    current = path;
    int64_t start = cpu_ms();
    LLVMFuzzerTestOneInput(data, n);
    int64_t took = cpu_ms() - start;
    free(data);
    t->inputs++;
    t->ms += took;
    if (took >= t->worst_ms) {
        t->worst_ms = took;
        snprintf(t->worst, sizeof t->worst, "%s", path);
    }
    if (took > SLOW_MS) {
        fprintf(stderr, "%s took %lld ms\n", path, (long long)took);
        t->slow++;
    }
    return true;
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static bool run_path(struct totals *t, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        return false;
    }
    if (!S_ISDIR(st.st_mode)) {
        return run_file(t, path);
    }
    struct dirent **names;
    int n = scandir(path, &names, visible, alphasort);
    bool ok = n >= 0;
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *file = xasprintf("%s/%s", path, names[i]->d_name);
        ok = run_file(t, file) && ok;
        free(names[i]);
    }
    free(n >= 0 ? names : NULL);
    return ok;
}

int main(int argc, char **argv)
{
    struct totals t = {0};
    bool ok = argc > 1;
    signal(SIGABRT, name_input);
    for (int i = 1; i < argc; i++) {
        ok = run_path(&t, argv[i]) && ok;
    }
    const char *name = strstr(argv[0], "replay_");
    printf("%s %u %lld %lld %s\n", name == NULL ? argv[0] : name + 7, t.inputs, (long long)t.ms, (long long)t.worst_ms,
           t.worst);
    return ok && t.slow == 0 ? 0 : 1;
}
