-- Makes the SQL functions for background jobs known, after install.sql:
--
--   mariadb --user=root < install-background.sql
--
-- Choose these, or the stored functions of the same names that put a row into the inbox
-- of the job server (gearman-queue sql --install -q mysql). These submit a job at once,
-- also if the transaction is rolled back later; the stored functions submit what is
-- committed. While these exist, the stored ones can't be created; and if those exist
-- before, only DATABASE.NAME means them.

CREATE FUNCTION IF NOT EXISTS gman_do_background RETURNS STRING
    SONAME 'libgearman_mysql_udf.so';
CREATE FUNCTION IF NOT EXISTS gman_do_high_background RETURNS STRING
    SONAME 'libgearman_mysql_udf.so';
CREATE FUNCTION IF NOT EXISTS gman_do_low_background RETURNS STRING
    SONAME 'libgearman_mysql_udf.so';
