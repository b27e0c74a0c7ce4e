#include "agent/registries.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/image/registry.h"

#define MARK_SIZE 192

struct registries {
    char *path, *credentials; /* credentials: the file that it names; NULL: none */
    char mark[MARK_SIZE], credentials_mark[MARK_SIZE];
    bool failed; /* the last reading: it is tried again at each look, as the file of logins may be what is missing */
    char told[ERROR_MESSAGE_MAX];
};

/* What is another when a file is replaced or written to; "" if it is not there. */
static void mark_of(const char *path, char out[MARK_SIZE])
{
    struct stat st;
    out[0] = '\0';
    if (path != NULL && stat(path, &st) == 0) {
        snprintf(out, MARK_SIZE, "%ju.%ju %jd %jd.%09ld %jd.%09ld", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
                 (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
                 st.st_ctim.tv_nsec);
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The marks are those of before the files were read, so that a change meanwhile is seen the next time; which file of
 * logins it is stands in the other one, so that it is read twice when that changes. */
static int read_files(struct agent *a, struct error *err)
{
    struct registries *r = a->registries;
    struct registry_config c;
    bool again;
    do {
        mark_of(r->path, r->mark);
        mark_of(r->credentials, r->credentials_mark);
        int rc = registry_config_read(r->path, &c, err);
        r->failed = rc != 0;
        if (rc != 0) {
            return rc;
        }
        again = !same_text(c.credentials_file, r->credentials);
        free(r->credentials);
        r->credentials = c.credentials_file == NULL ? NULL : xstrdup(c.credentials_file);
        image_store_set_registries(a->images, &c);
    } while (again);
    return 0;
}

int registries_open(struct agent *a, const char *path, struct error *err)
{
    a->registries = xcalloc(1, sizeof *a->registries);
    a->registries->path = xstrdup(path);
    return read_files(a, err);
}

static void tell(struct agent *a, const char *message)
{
    log_error(a->log, "images", "%s: the registries that were known stay", message);
    struct str uid = a->node == NULL ? STR_NONE : mp_str(mp_path(object_mp(a->node), "metadata.uid"));
    CLEANUP_FREE char *own_uid = xstrndup(uid.n == 0 ? "" : uid.p, uid.n);
    CLEANUP_FREE char *text = xasprintf("%s: the registries that were known stay", message);
    report_event(a->report, &(struct report_event){
                                .uid = own_uid, .warning = true, .reason = "InvalidRegistries", .message = text});
}

void registries_look(struct agent *a)
{
    struct registries *r = a->registries;
    char mark[MARK_SIZE], credentials[MARK_SIZE];
    struct error err = {0};
    if (r == NULL) {
        return;
    }
    mark_of(r->path, mark);
    mark_of(r->credentials, credentials);
    bool same = strcmp(mark, r->mark) == 0 && strcmp(credentials, r->credentials_mark) == 0;
    if (same && !r->failed) {
        return;
    }
    if (read_files(a, &err) == 0) {
        log_info(a->log, "images", "%s has changed: it is read anew", r->path);
        r->told[0] = '\0';
    } else if (strcmp(err.message, r->told) != 0) {
        tell(a, err.message);
        memcpy(r->told, err.message, sizeof r->told);
    }
}

void registries_close(struct agent *a)
{
    struct registries *r = TAKE_PTR(a->registries);
    if (r != NULL) {
        free(r->path);
        free(r->credentials);
        free(r);
    }
}
