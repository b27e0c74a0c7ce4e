/* Container logs. Input: a byte of options, one for the tail, one for the limit, then the file. Each record alone, and
 * the reader over a real file: what it gives is no more than asked for, and it ends. */
#include <fcntl.h>
#include <unistd.h>

#include "agent/runtime/logfile.h"
#include "tests/fuzz/fuzz.h"

static char path[64];
static int file = -1;

struct seen {
    size_t bytes, lines;
    bool ended;
};

static void on_data(struct logfile_reader *r, const uint8_t *p, size_t n, void *data)
{
    (void)r;
    struct seen *s = data;
    CHECK(!s->ended && n > 0);
    s->bytes += n;
    for (size_t i = 0; i < n; i++) {
        s->lines += p[i] == '\n';
    }
}

static void on_end(struct logfile_reader *r, const struct error *err, void *data)
{
    (void)r;
    struct seen *s = data;
    CHECK(!s->ended && err == NULL);
    s->ended = true;
}
static const struct logfile_events events = {.on_data = on_data, .on_end = on_end};

static void remove_file(void)
{
    unlink(path);
}

static void write_file(struct str content)
{
    if (file < 0) {
        snprintf(path, sizeof path, "%s/reeve-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        file = mkstemp(path);
        CHECK(file >= 0);
        atexit(remove_file);
    }
    CHECK(ftruncate(file, 0) == 0 && pwrite(file, content.p, content.n, 0) == (ssize_t)content.n);
}

static void check_records(struct str s)
{
    struct fuzz_input f = fuzz_input((const uint8_t *)s.p, s.n);
    struct logfile_line l;
    while (f.p < f.end) {
        struct str record = fuzz_until(&f, '\n');
        if (logfile_parse(record, &l)) {
            CHECK(l.fd == 1 || l.fd == 2);
            CHECK(l.text.n == 0 || (l.text.p >= record.p && l.text.p + l.text.n == record.p + record.n));
        }
    }
}

static struct seen read_all(const struct logfile_options *o)
{
    static uv_loop_t loop;
    static bool ready;
    if (!ready) {
        CHECK(uv_loop_init(&loop) == 0);
        ready = true;
    }
    struct seen seen = {0};
    logfile_read(&loop, path, o, &events, &seen);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(seen.ended);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    unsigned head = fuzz_byte(&f);
    struct logfile_options o = {.tail_lines = head & 1 ? fuzz_byte(&f) : -1,
                                .limit_bytes = head & 2 ? fuzz_byte(&f) : 0,
                                .since_wall_ms = head & 4 ? 1767225600000 : 0,
                                .timestamps = (head & 8) != 0};
    struct str content = fuzz_rest(&f);
    check_records(content);
    write_file(content);
    struct seen seen = read_all(&o);
    CHECK(o.limit_bytes == 0 || seen.bytes <= (size_t)o.limit_bytes);
    CHECK(o.tail_lines < 0 || seen.lines <= (size_t)o.tail_lines);
    return 0;
}
