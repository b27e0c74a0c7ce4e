/* hostPath. */
#include "proto/kinds/volumes.h"

/* clang-format off */
SCHEMA(volume_schema_host_path, "HostPathVolumeSource", "A file or directory of the node.",
    STRING("path", "Path on the node.", REQUIRED),
    STRING("type", "What must be there, or is made; nothing for no check.", DEFAULT(""),
           ONE_OF("|DirectoryOrCreate|Directory|FileOrCreate|File|Socket|CharDevice|BlockDevice")));
/* clang-format on */

static void check_host_path(const struct value *source, const struct volume_at *where, const struct fpath *p,
                            struct errlist *l)
{
    (void)where;
    check_no_dot_dot(value_get(source, "path"), FPATH_AT(p, "path"), l);
}

const struct volume_source volume_source_host_path = {
    .check = check_host_path,
};
