# perl client.pl PORT PRIORITY FUNCTION WORKLOAD [UNIQUE [exceptions]]
# PRIORITY is normal, high or low, with -background after it or not.
# Says on stdout, one a line, what the server tells about the job.

use strict;
use warnings;
use Gearman::Client;
use Gearman::Task;

my ($port, $priority, $function, $workload, $unique, $exceptions) = @ARGV;
$| = 1;

my $client = Gearman::Client->new(
    job_servers => "127.0.0.1:$port",
    exceptions  => $exceptions ? 1 : 0,
);
my $background = $priority =~ s/-background$//;
my $task       = Gearman::Task->new(
    $function,
    \$workload,
    {
        priority     => $priority,
        uniq         => $unique,
        on_data      => sub { print 'data ',      ${ $_[0] }, "\n" },
        on_warning   => sub { print 'warning ',   ${ $_[0] }, "\n" },
        on_status    => sub { print 'status ',    join('/', @_), "\n" },
        on_complete  => sub { print 'complete ',  ${ $_[0] }, "\n" },
        on_exception => sub { print 'exception ', $_[0], "\n" },
        on_fail      => sub { print "fail\n" },
    }
);

sub created {
    my ($handle) = @_;
    $handle =~ s{.*//}{};
    print "created $handle\n";
    return;
}

if ($background) {
    created($client->dispatch_background($task));
}
else {
    my $set = $client->new_task_set;
    created($set->add_task($task));
    $set->wait;
}
