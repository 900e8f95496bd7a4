# perl worker.pl PORT [CLIENT-ID [FUNCTION-TIMEOUT-IN-MILLISECONDS]]
# Says on stdout what it does, and on stdin hears when to go on.

use strict;
use warnings;
use Gearman::Worker;

my ($port, $id, $timeout) = @ARGV;
$| = 1;

my $worker = Gearman::Worker->new(
    job_servers => "127.0.0.1:$port",
    $id ? (client_id => $id) : (),
);

my %functions = (
    upper => sub {
        my ($job) = @_;
        print 'did ', $job->arg, "\n";
        return uc $job->arg;
    },
    size   => sub { return length $_[0]->arg },
    events => sub {
        my ($job) = @_;
        $worker->send_work_data($job, 'one');
        $worker->send_work_data($job, "t\0o");
        $worker->send_work_warning($job, 'careful');
        $job->set_status(1, 2);
        return 'end';
    },
    fail => sub {
        print "failing\n";
        return undef;
    },
    raise => sub {
        my ($job) = @_;
        print "raising\n";
        $worker->send_work_exception($job, 'boom');
        return;
    },
    hold => sub {
        my ($job) = @_;
        $job->set_status(3, 10);
        print 'holding ', $job->handle, "\n";
        my $go = <STDIN>;
        return 'held ' . $job->arg;
    },
);
while (my ($name, $function) = each %functions) {
    $worker->register_function($name, $timeout ? ($timeout) : (), $function);
}
$worker->work;
