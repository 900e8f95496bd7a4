-- Makes the SQL functions known, after `make install`:
--
--   mariadb --user=root < install.sql
--
-- Everybody who may log in can call these functions: leave out what nobody needs.
-- Those for background jobs are in install-background.sql, since there is a choice.

CREATE FUNCTION IF NOT EXISTS gman_do RETURNS STRING SONAME 'libgearman_mysql_udf.so';
CREATE FUNCTION IF NOT EXISTS gman_do_high RETURNS STRING
    SONAME 'libgearman_mysql_udf.so';
CREATE FUNCTION IF NOT EXISTS gman_do_low RETURNS STRING
    SONAME 'libgearman_mysql_udf.so';
CREATE AGGREGATE FUNCTION IF NOT EXISTS gman_sum RETURNS INTEGER
    SONAME 'libgearman_mysql_udf.so';
CREATE FUNCTION IF NOT EXISTS gman_servers_set RETURNS STRING
    SONAME 'libgearman_mysql_udf.so';
CREATE FUNCTION IF NOT EXISTS gman_servers_check RETURNS INTEGER
    SONAME 'libgearman_mysql_udf.so';
CREATE FUNCTION IF NOT EXISTS gman_timeout_set RETURNS REAL
    SONAME 'libgearman_mysql_udf.so';
