select string_agg(format('%s %s', name, sold), '|' order by sold desc)
from (select name, count(*) as sold from drink join purchase on purchase.drink = drink.id group by name) as sales;
