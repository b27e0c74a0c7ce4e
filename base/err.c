#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *err_reason(int code)
{
    switch (code) {
    case 0:
        return "Success";
#define X(name, number, reason, class, text)                                                                           \
    case number:                                                                                                       \
        return reason;
        ERR_LIST(X)
#undef X
    default:
        return "Unknown";
    }
}

const char *err_text(int code)
{
    switch (code) {
    case 0:
        return "done";
#define X(name, number, reason, class, text)                                                                           \
    case number:                                                                                                       \
        return text;
        ERR_LIST(X)
#undef X
    default:
        return "unknown error";
    }
}

enum err_class err_class(int code)
{
    switch (code) {
#define X(name, number, reason, class, text)                                                                           \
    case number:                                                                                                       \
        return ERR_CLASS_##class;
        ERR_LIST(X)
#undef X
    default:
        return ERR_CLASS_UNKNOWN;
    }
}

int err_from_errno(int negative_errno)
{
    switch (negative_errno) {
    case -ENOENT:
        return ERR_NOT_FOUND;
    case -EEXIST:
        return ERR_EXISTS;
    case -ENOSPC:
    case -EDQUOT:
        return ERR_NO_SPACE;
    case -EIO:
        return ERR_IO;
    case -EACCES:
    case -EPERM:
        return ERR_FORBIDDEN;
    case -ETIMEDOUT:
        return ERR_TIMEOUT;
    case -ECANCELED:
        return ERR_CANCELED;
    case -ECONNREFUSED:
    case -ECONNRESET:
    case -EPIPE:
    case -ENOTCONN:
        return ERR_CLOSED;
    case -EINVAL:
        return ERR_INVALID;
    default:
        return ERR_SYSTEM;
    }
}

static void fill(struct error *err, int code, const char *field, const char *fmt, va_list ap)
{
    if (err == NULL) {
        return;
    }
    memset(err, 0, sizeof *err);
    err->code = code;
    vsnprintf(err->message, sizeof err->message, fmt, ap);
    if (field != NULL) {
        snprintf(err->field, sizeof err->field, "%s", field);
    }
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, NULL, fmt, ap);
    va_end(ap);
    return code;
}

int error_set_field(struct error *err, int code, const char *field, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, field, fmt, ap);
    va_end(ap);
    return code;
}

int error_set_errno(struct error *err, int errno_value, const char *fmt, ...)
{
    int code = err_from_errno(errno_value > 0 ? -errno_value : errno_value);
    if (err == NULL) {
        return code;
    }
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, NULL, fmt, ap);
    va_end(ap);
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s",
             strerror(errno_value < 0 ? -errno_value : errno_value));
    return code;
}

/* The message has moved back by so many bytes; causes of which the end was cut off are not kept any more. */
static void move_causes(struct error *err, size_t by)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < err->causes_kept; i++) {
        struct error_span c = err->causes[i];
        if (by + c.field_at + c.field_size < ERROR_MESSAGE_MAX && by + c.text_at + c.text_size < ERROR_MESSAGE_MAX) {
            c.field_at = (uint16_t)(c.field_at + by);
            c.text_at = (uint16_t)(c.text_at + by);
            err->causes[kept++] = c;
        }
    }
    err->causes_kept = kept;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
    if (err == NULL) {
        return ERR_INTERNAL;
    }
    char old[ERROR_MESSAGE_MAX];
    memcpy(old, err->message, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s", old);
    move_causes(err, used + 2);
    return err->code;
}

/* ---- For programs ---- */

const char *error_cause_word(enum error_cause reason)
{
    static const char *const words[] = {
#define X(name, word) word,
        ERROR_CAUSE_LIST(X)
#undef X
    };
    assert((size_t)reason < sizeof words / sizeof *words);
    return words[reason];
}

/* Where the words stand in the message. */
static bool find(const struct error *err, struct str words, uint16_t *at, uint16_t *size)
{
    size_t n = strlen(err->message);
    const char *found = words.n == 0 ? err->message : memmem(err->message, n, words.p, words.n);
    if (found == NULL) {
        return false;
    }
    *at = (uint16_t)(found - err->message);
    *size = (uint16_t)words.n;
    return true;
}

void error_add_cause(struct error *err, enum error_cause reason, struct str field, struct str text)
{
    if (err == NULL) {
        return;
    }
    assert(err->code != 0 && reason < ERROR_CAUSES);
    err->causes_all++;
    if (err->causes_kept == ERROR_CAUSES_MAX) {
        return;
    }
    struct error_span c = {.reason = (uint16_t)reason};
    if (text.n > 0 && find(err, field, &c.field_at, &c.field_size) && find(err, text, &c.text_at, &c.text_size)) {
        err->causes[err->causes_kept++] = c;
    }
}

static enum error_cause reason_of(int code)
{
    return code == ERR_FORBIDDEN   ? ERROR_CAUSE_FORBIDDEN
           : code == ERR_NOT_FOUND ? ERROR_CAUSE_NOT_FOUND
                                   : ERROR_CAUSE_INVALID;
}

bool error_cause(const struct error *err, unsigned i, struct error_cause_text *out)
{
    if (i < err->causes_kept) {
        const struct error_span *c = &err->causes[i];
        assert(c->text_at + c->text_size < ERROR_MESSAGE_MAX && c->field_at + c->field_size < ERROR_MESSAGE_MAX);
        *out = (struct error_cause_text){
            .reason = (enum error_cause)c->reason,
            .field = {err->message + c->field_at, c->field_size},
            .text = {err->message + c->text_at, c->text_size},
        };
        return true;
    }
    if (i == 0 && err->field[0] != '\0') {
        *out = (struct error_cause_text){reason_of(err->code), str_of(err->field), str_of(err->message)};
        return true;
    }
    return false;
}

void error_set_about(struct error *err, struct str group, struct str kind, struct str name)
{
    if (err == NULL) {
        return;
    }
    memset(err->about, 0, sizeof err->about);
    if (kind.n > 0 && group.n + kind.n + name.n + 3 <= sizeof err->about) {
        int n = snprintf(err->about, sizeof err->about, "%.*s%c%.*s%c%.*s", STR_ARG(group), 0, STR_ARG(kind), 0,
                         STR_ARG(name));
        assert(n > 0 && (size_t)n < sizeof err->about);
        (void)n;
    }
}

bool error_about(const struct error *err, struct str *group, struct str *kind, struct str *name)
{
    *group = str_of(err->about);
    *kind = str_of(group->p + group->n + 1);
    *name = str_of(kind->p + kind->n + 1);
    return kind->n > 0;
}
