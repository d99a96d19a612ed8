use IO::Socket::INET;
my $s = IO::Socket::INET->new('127.0.0.1:80');
print $s "GET / HTTP/1.0\r\n\r\n";
system('/bin/date');
