/* Files of KEY=VALUE lines, as --from-env-file and kustomize's generators read them. Pure. */
#ifndef CLIENT_MANIFEST_KEYFILE_H
#define CLIENT_MANIFEST_KEYFILE_H

#include "base/err.h"
#include "base/str.h"

/* Text that can stand in a ConfigMap's data: UTF-8 without NUL. */
bool keyfile_is_text(struct str s);

/* Lines end with LF or CRLF; a byte order mark in front is not part of the first key; empty lines and those that begin
 * with # are left out. KEY alone takes the value of the variable from this program's environment, as `docker
 * --env-file` does; unset: the empty text. Each pair goes to `add`, whose failure (or a bad line) ends it with
 * "FILE:LINE: ..." in front. ERR_USAGE. */
typedef int keyfile_add(struct str key, struct str value, void *data, struct error *err);
int keyfile_env(struct str text, const char *file, keyfile_add *add, void *data, struct error *err);

#endif
