#include "agent/runtime/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/timefmt.h"

struct journal {
    char *path;
    int fd;
    uint64_t size_bytes, max_bytes;
    const struct env *env;
    const struct log *log;
    bool complained;
};

static int reopen(struct journal *j, struct error *err)
{
    struct stat st;
    j->fd = open(j->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (j->fd < 0) {
        return error_set_errno(err, errno, "open the journal %s", j->path);
    }
    j->size_bytes = fstat(j->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    return 0;
}

int journal_open(const char *path, uint64_t max_bytes, const struct env *env, const struct log *log,
                 struct journal **out, struct error *err)
{
    struct journal *j = xcalloc(1, sizeof *j);
    j->path = xstrdup(path);
    j->max_bytes = max_bytes == 0 ? JOURNAL_MAX_BYTES : max_bytes;
    j->env = env;
    j->log = log;
    int rv = reopen(j, err);
    if (rv != 0) {
        journal_close(j);
        return rv;
    }
    *out = j;
    return 0;
}

void journal_close(struct journal *j)
{
    if (j == NULL) {
        return;
    }
    if (j->fd >= 0) {
        close(j->fd);
    }
    free(j->path);
    free(j);
}

static void put_text(struct buf *b, const char *key, const char *text)
{
    buf_printf(b, ",\"%s\":\"", key);
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            buf_printf(b, "\\%c", *p);
        } else if (*p < 0x20) {
            buf_printf(b, "\\u%04x", *p);
        } else {
            buf_putc(b, (char)*p);
        }
    }
    buf_putc(b, '"');
}

static void rotate(struct journal *j)
{
    CLEANUP_FREE char *old = xasprintf("%s.1", j->path);
    struct error err;
    if (rename(j->path, old) != 0) {
        return; /* goes on in the same file; tried again with the next line */
    }
    close(j->fd);
    if (reopen(j, &err) != 0) {
        log_warn(j->log, "journal", "%s", err.message);
    }
}

void journal_write(struct journal *j, const struct journal_entry *e)
{
    char stamp[TIMEFMT_SIZE];
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (j == NULL) {
        return;
    }
    timefmt_rfc3339_ms(env_wall_ms(j->env), stamp);
    buf_printf(&b, "{\"t\":\"%s\"", stamp);
    put_text(&b, "event", e->event);
    put_text(&b, "ns", e->ns);
    put_text(&b, "pod", e->pod);
    put_text(&b, "uid", e->uid);
    if (e->container != NULL) {
        put_text(&b, "container", e->container);
        buf_printf(&b, ",\"attempt\":%u", e->attempt);
    }
    put_text(&b, "why", e->why == NULL ? "" : e->why);
    if (e->exit_code >= 0) {
        buf_printf(&b, ",\"exit\":%d", e->exit_code);
    }
    buf_puts(&b, "}\n");
    if (j->size_bytes + b.size > j->max_bytes) {
        rotate(j);
    }
    ssize_t n = j->fd < 0 ? -1 : write(j->fd, b.data, b.size);
    if (n != (ssize_t)b.size && !j->complained) {
        log_error(j->log, "journal", "cannot write %s: %s", j->path, strerror(errno));
    }
    j->complained = n != (ssize_t)b.size;
    j->size_bytes += n > 0 ? (uint64_t)n : 0;
}
