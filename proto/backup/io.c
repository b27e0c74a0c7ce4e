#include "proto/backup/io.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

#define READ_BYTES (256u << 10)

struct reading {
    struct backup_opener *opener;
    struct backup_reader *reader;
    struct buf text;
    uint8_t *bytes;
};

static int pass_on(struct reading *r, struct error *err)
{
    int rc = backup_reader_feed(r->reader, r->text.data, r->text.size, err);
    mem_wipe(r->text.data, r->text.size);
    buf_reset(&r->text);
    return rc;
}

static int read_all(struct reading *r, int fd, uint64_t *bytes, struct error *err)
{
    for (;;) {
        ssize_t n = read(fd, r->bytes, READ_BYTES);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_set_errno(err, errno, "read");
        }
        *bytes += (uint64_t)n;
        int rc = n == 0 ? backup_opener_finish(r->opener, err)
                        : backup_opener_feed(r->opener, r->bytes, (size_t)n, &r->text, err);
        if (rc == 0) {
            rc = pass_on(r, err);
        }
        if (rc != 0 || n == 0) {
            return rc != 0 ? rc : backup_reader_finish(r->reader, err);
        }
    }
}

int backup_read_fd(int fd, const char *name, struct str passphrase, const struct backup_events *events,
                   struct backup_file_info *info, uint64_t *bytes, struct error *err)
{
    uint64_t count = 0;
    struct error local = {0};
    err = err == NULL ? &local : err;
    struct reading r = {
        .opener = backup_opener_new(passphrase), .reader = backup_reader_new(events), .bytes = xmalloc(READ_BYTES)};
    int rc = read_all(&r, fd, &count, err);
    if (rc != 0) {
        error_wrap(err, "%s", name);
    }
    if (info != NULL && backup_opener_info(r.opener) != NULL) {
        *info = *backup_opener_info(r.opener);
    }
    if (bytes != NULL) {
        *bytes = count;
    }
    backup_opener_free(r.opener);
    backup_reader_free(r.reader);
    mem_wipe(r.text.data, r.text.cap);
    buf_close(&r.text);
    free(r.bytes);
    return rc;
}
